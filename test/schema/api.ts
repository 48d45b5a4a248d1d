/** The API without a server: operations executed against the whole stack, as a token would have them executed. */
import {
  createSourceEventStream,
  type ExecutionResult,
  execute,
  executeSubscriptionEvent,
  mapSourceToResponseEvent,
  parse,
  validate,
  validateSubscriptionArgs,
} from 'graphql';
import { v7 } from 'uuid';
import { type Context, createContext } from '../../schema/context.ts';
import { schema } from '../../schema/index.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';

export function viewer(overrides: Partial<Viewer> = {}): Viewer {
  const tokenId = v7();
  const actor = `token_${tokenId.replaceAll('-', '')}`;
  const rights = { scopes: ['admin'], projectIds: null, expiresAt: null } as const;
  return { tokenId, secretVersion: 1, name: 'test', actor, ...rights, ...overrides };
}

export interface Operation {
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly viewer?: Viewer;
  readonly orchestrator?: Orchestrator;
  /** Of an earlier operation: what it has read is known. */
  readonly context?: Context;
}

type Json = ReturnType<typeof JSON.parse>;

export interface Answer {
  readonly data: Json;
  readonly errors: readonly { message: string; path?: readonly (string | number)[]; extensions: Json }[];
}

export class Api {
  readonly #orchestrator: Orchestrator;

  constructor(orchestrator: Orchestrator) {
    this.#orchestrator = orchestrator;
  }

  /** What a client would read: data and errors as JSON. */
  async run(source: string, operation: Operation = {}): Promise<Answer> {
    const document = parse(source);
    const problems = validate(schema, document);
    if (problems.length > 0) throw new Error(problems.map((problem) => problem.message).join('; '));
    const { variables = {} } = operation;
    const result = await execute({
      schema,
      document,
      variableValues: variables,
      contextValue: this.#context(operation),
    });
    return toAnswer(result);
  }

  /** The data; throws when there is an error. */
  async data(source: string, operation: Operation = {}): Promise<Json> {
    const { data, errors } = await this.run(source, operation);
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data;
  }

  /** As the server does it: with a fresh context for every event. */
  async subscribe(source: string, operation: Operation = {}): Promise<AsyncGenerator<Answer> | Answer> {
    const { variables: variableValues = {} } = operation;
    const contextValue = this.#context(operation);
    const args = validateSubscriptionArgs({ schema, document: parse(source), variableValues, contextValue });
    if (!('schema' in args)) return toAnswer({ errors: args });
    const events = await createSourceEventStream(args);
    if (!(Symbol.asyncIterator in events)) return toAnswer(events);
    return answers(
      mapSourceToResponseEvent(args, events, (event) =>
        executeSubscriptionEvent({ ...event, contextValue: this.#context(operation) }),
      ),
    );
  }

  #context(operation: Operation): Context {
    const { context, orchestrator = this.#orchestrator } = operation;
    return context ?? createContext(orchestrator, operation.viewer ?? viewer());
  }
}

function answers(results: AsyncGenerator<ExecutionResult>): AsyncGenerator<Answer> {
  const iterator = {
    async next() {
      const { done, value } = await results.next();
      return done ? { done: true as const, value: undefined } : { done: false as const, value: toAnswer(value) };
    },
    async return() {
      await results.return(undefined);
      return { done: true as const, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  return iterator as unknown as AsyncGenerator<Answer>;
}

function toAnswer(result: ExecutionResult): Answer {
  const { data, errors = [] } = JSON.parse(JSON.stringify(result)) as Partial<Answer>;
  return { data, errors };
}
