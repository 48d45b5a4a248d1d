/**
 * graphql's executor, without the signal that it has for resolvers: aborting it at the end of each execution makes an exception
 * with its stack, which costs as much as a resolver, and none of ours asks for it. Given a signal, it makes none.
 */
import type { ExecutionResult, ValidatedExecutionArgs } from 'graphql';
import { createSharedExecutionContext } from 'graphql/execution/createSharedExecutionContext.js';
import { Executor } from 'graphql/execution/Executor.js';

type Result = ExecutionResult | Promise<ExecutionResult>;

/** As `executeRootSelectionSet`: the schema has no incremental delivery. */
export function executeSelections(args: ValidatedExecutionArgs): Result {
  return open(args).executeRootSelectionSet();
}

/** As `executeSubscriptionEvent`. */
export function executeEvent(args: ValidatedExecutionArgs): Result {
  return open(args).executeRootSelectionSet(false);
}

function open(args: ValidatedExecutionArgs) {
  return new Executor(args, createSharedExecutionContext(args.externalAbortSignal));
}
