import { complexityFromQuery } from '@pothos/plugin-complexity';
import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  executeSubscriptionEvent,
  GraphQLError,
  mapSourceToResponseEvent,
  type ValidatedSubscriptionArgs,
  validateSubscriptionArgs,
} from 'graphql';
import { MAX_COMPLEXITY } from '../../schema/limits.ts';
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
  const complexity = complexityOf(validated, newContext());
  if (complexity > MAX_COMPLEXITY) return { errors: [tooComplex(complexity)] };
  const source = await createSourceEventStream(validated);
  if (!(Symbol.asyncIterator in source)) return finish(source);
  const key = executions.keyOf(validated, viewer);
  return mapSourceToResponseEvent(validated, source, (event) =>
    executions.run(event.rootValue, key, async () =>
      finish(await executeSubscriptionEvent({ ...event, contextValue: newContext() })),
    ),
  );
}

/** The schema checks it when it resolves a root field, which for a subscription is at every event: too late to refuse. */
function complexityOf(args: ValidatedSubscriptionArgs, ctx: object): number {
  const { schema, document, operation, fragmentDefinitions, rawVariableValues } = args;
  const definitions = [operation, ...Object.values(fragmentDefinitions)];
  const variables = rawVariableValues ?? {};
  return complexityFromQuery({ ...document, definitions }, { schema, variables, ctx }).complexity;
}

function tooComplex(complexity: number): GraphQLError {
  return new GraphQLError(`The operation's complexity is ${complexity}, the limit is ${MAX_COMPLEXITY}.`, {
    extensions: { code: 'QUERY_TOO_COMPLEX', complexity, limit: MAX_COMPLEXITY },
  });
}
