/**
 * One execution, and one text of its result, for all subscribers who would get the same: same event, document, variables and
 * rights. Fields below a subscription may look at what their viewer may do, and at nothing else of the viewer; of those that
 * are marked as `perViewer` each viewer has his own.
 */
import {
  type ASTNode,
  type DocumentNode,
  type ExecutionResult,
  Kind,
  type ValidatedSubscriptionArgs,
  visit,
} from 'graphql';
import { rightsOf } from '../auth/rights.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Waiter } from '../std/feed.ts';
import { inTurns } from '../std/in-turns.ts';
import { executeEvent } from './execute-selections.ts';
import { selectsMarked } from './marked-fields.ts';
import { Payload } from './payload.ts';

export interface SharedExecutionsOptions<Context extends object> {
  readonly newContext: (viewer: Viewer) => Context;
  /** Another event is executed with this context. */
  readonly onShared: (context: Context) => void;
  /** Applied to every result. */
  readonly finish: (result: ExecutionResult) => ExecutionResult;
}

export class SharedExecutions<Context extends object = object> {
  readonly #options: SharedExecutionsOptions<Context>;
  readonly #groups = new Map<string, SubscriptionGroup>();
  readonly #documents = new WeakMap<DocumentNode, KnownDocument>();
  #documentCount = 0;

  constructor(options: SharedExecutionsOptions<Context>) {
    this.#options = options;
  }

  /** Groups that have a subscriber. */
  get size(): number {
    return this.#groups.size;
  }

  /** The group of a subscription; to be left when it ends. */
  join(args: ValidatedSubscriptionArgs, viewer: Viewer): SubscriptionGroup {
    const document = this.#know(args);
    const key = keyOf(args, viewer, document);
    let group = this.#groups.get(key);
    if (!group) {
      const { finish } = this.#options;
      const seen = document.perViewer ? viewer : rightsOf(viewer);
      // The first one's context has read what the next event must read again.
      const shared = { ...args, contextValue: undefined };
      const contextOf = this.#contexts(seen);
      const execute = (event: object) => {
        const result = executeEvent({ ...shared, rootValue: event, contextValue: contextOf() });
        return result instanceof Promise ? result.then(finish) : finish(result);
      };
      group = new SubscriptionGroup(execute, () => this.#groups.delete(key));
      this.#groups.set(key, group);
    }
    group.enter();
    return group;
  }

  /**
   * The context of an event: what comes in one turn of the event loop is executed with one, so that it is read in the same
   * statements, and is known at the same time. Later events see the world of later.
   */
  #contexts(viewer: Viewer): () => Context {
    const { newContext, onShared } = this.#options;
    let context: Context | null = null;
    return () => {
      if (context) onShared(context);
      else {
        context = newContext(viewer);
        queueMicrotask(() => {
          context = null;
        });
      }
      return context;
    };
  }

  #know({ schema, document }: ValidatedSubscriptionArgs): KnownDocument {
    const known = this.#documents.get(document);
    if (known) return known;
    this.#documentCount += 1;
    const found = { number: this.#documentCount, perViewer: selectsMarked({ schema, document, mark: 'perViewer' }) };
    this.#documents.set(document, found);
    return found;
  }
}

interface KnownDocument {
  readonly number: number;
  /** It selects a field that depends on who asks. */
  readonly perViewer: boolean;
}

type Result = ExecutionResult | Promise<ExecutionResult>;

/** Subscribers who get the same. */
export class SubscriptionGroup {
  readonly #execute: (event: object) => Result;
  readonly #onEmpty: () => void;
  /** Followers of one build are given the same event objects: what is known of one is forgotten with it. */
  readonly #executions = new WeakMap<object, Execution>();
  #members = 0;

  constructor(execute: (event: object) => Result, onEmpty: () => void) {
    this.#execute = execute;
    this.#onEmpty = onEmpty;
  }

  enter(): void {
    this.#members += 1;
  }

  leave(): void {
    this.#members -= 1;
    if (this.#members === 0) this.#onEmpty();
  }

  run(event: object): Execution {
    const known = this.#executions.get(event);
    if (known) return known;
    const execution = new Execution(() => this.#execute(event));
    this.#executions.set(event, execution);
    return execution;
  }
}

/** What the subscribers of a group are told about one event. */
export class Execution {
  #payload: Payload | null = null;
  #failure: { readonly error: unknown } | null = null;
  #waiting: Waiter[] = [];

  constructor(execute: () => Result) {
    try {
      const result = execute();
      if (!(result instanceof Promise)) this.#payload = Payload.of(result);
      else
        result.then(
          (known) => this.#end(known),
          (error: unknown) => this.#fail(error),
        );
    } catch (error) {
      this.#failure = { error };
    }
  }

  /** Null while it is under way. Throws what it has failed with. */
  get payload(): Payload | null {
    if (this.#failure) throw this.#failure.error;
    return this.#payload;
  }

  get isUnderWay(): boolean {
    return !this.#payload && !this.#failure;
  }

  /** While it is under way: calls when it is not any more. */
  wait(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }

  #end(result: ExecutionResult): void {
    try {
      this.#payload = Payload.of(result);
    } catch (error) {
      this.#failure = { error };
    }
    this.#done();
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    this.#done();
  }

  #done(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    inTurns(waiting, (waiter) => waiter.ready());
  }
}

/** What two subscriptions have in common when they may share. */
function keyOf(args: ValidatedSubscriptionArgs, viewer: Viewer, { number, perViewer }: KnownDocument): string {
  const values = args.rawVariableValues ?? {};
  // Without a value is not null: the first takes the default.
  const variables = [...variablesOfEvents(args)].sort().map((name) => (name in values ? [name, values[name]] : [name]));
  const rights = [[...viewer.scopes].sort(), viewer.projectIds && [...viewer.projectIds].sort()];
  const who = perViewer ? viewer : null;
  return JSON.stringify([number, args.operation.name?.value, rights, who, variables]);
}

/** Without those that only say which events there are, such as the cursor: each subscriber has his own. */
function variablesOfEvents({ operation, fragmentDefinitions }: ValidatedSubscriptionArgs): ReadonlySet<string> {
  const names = new Set<string>();
  const collect = (node: ASTNode | undefined) => {
    if (node) visit(node, { Variable: (variable) => void names.add(variable.name.value) });
  };
  for (const selection of operation.selectionSet.selections) {
    collect(selection.kind === Kind.FIELD ? selection.selectionSet : selection);
  }
  for (const fragment of Object.values(fragmentDefinitions)) collect(fragment);
  return names;
}
