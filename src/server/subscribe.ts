import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  executeSubscriptionEvent,
  mapSourceToResponseEvent,
  validateSubscriptionArgs,
} from 'graphql';
import type { Viewer } from '../auth/viewer.ts';
import type { SharedExecutions } from './shared-executions.ts';

export interface Subscribing {
  readonly args: ExecutionArgs;
  readonly viewer: Viewer;
  readonly newContext: () => object;
  readonly executions: SharedExecutions;
  /** Applied to every result. */
  readonly finish: (result: ExecutionResult) => ExecutionResult;
}

/**
 * graphql's `subscribe`, with a new context for every event: its loaders would otherwise show the first event's world
 * for ever. Resolves to one result when there is no stream; may reject.
 */
export async function subscribe(options: Subscribing): Promise<AsyncGenerator<ExecutionResult> | ExecutionResult> {
  const { args, viewer, newContext, executions, finish } = options;
  const validated = validateSubscriptionArgs({ ...args, contextValue: newContext() });
  if (!('schema' in validated)) return finish({ errors: validated });
  const source = await createSourceEventStream(validated);
  if (!(Symbol.asyncIterator in source)) return finish(source);
  const key = executions.keyOf(validated, viewer);
  return mapSourceToResponseEvent(validated, source, (event) =>
    executions.run(event.rootValue, key, async () =>
      finish(await executeSubscriptionEvent({ ...event, contextValue: newContext() })),
    ),
  );
}
