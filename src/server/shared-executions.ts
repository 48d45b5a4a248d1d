/**
 * One execution for all subscribers who would get the same: same event, document, variables and rights. Fields below a
 * subscription may look at what their viewer may do, and at nothing else of the viewer.
 */
import {
  type ASTNode,
  type DocumentNode,
  type ExecutionResult,
  Kind,
  type ValidatedSubscriptionArgs,
  visit,
} from 'graphql';
import type { Viewer } from '../auth/viewer.ts';

export class SharedExecutions {
  readonly #results = new WeakMap<object, Map<string, Promise<ExecutionResult>>>();
  readonly #documentNumbers = new WeakMap<DocumentNode, number>();
  #documents = 0;

  /** What two subscriptions have in common when they may share. */
  keyOf(args: ValidatedSubscriptionArgs, viewer: Viewer): string {
    const values = args.rawVariableValues ?? {};
    // Without a value is not null: the first takes the default.
    const variables = [...variablesOfEvents(args)]
      .sort()
      .map((name) => (name in values ? [name, values[name]] : [name]));
    const rights = [[...viewer.scopes].sort(), viewer.projectIds && [...viewer.projectIds].sort()];
    return JSON.stringify([this.#numberOf(args.document), args.operation.name?.value, rights, variables]);
  }

  /** Followers of one build are given the same event objects: what is known of one is forgotten with it. */
  run(event: unknown, key: string, execute: () => Promise<ExecutionResult>): Promise<ExecutionResult> {
    if (typeof event !== 'object' || event === null) return execute();
    const results = this.#results.get(event) ?? new Map<string, Promise<ExecutionResult>>();
    this.#results.set(event, results);
    const known = results.get(key);
    if (known) return known;
    const result = execute();
    results.set(key, result);
    return result;
  }

  #numberOf(document: DocumentNode): number {
    const known = this.#documentNumbers.get(document);
    if (known !== undefined) return known;
    this.#documents += 1;
    this.#documentNumbers.set(document, this.#documents);
    return this.#documents;
  }
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
