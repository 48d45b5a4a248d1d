/** Each query and mutation is a span: of the caller's trace, where it came with one. */
import { type ExecutionResult, getOperationAST } from 'graphql';
import type { Tracing } from '../telemetry/span.ts';
import { parseTraceparent } from '../telemetry/trace-ids.ts';
import { withScope } from '../telemetry/trace-scope.ts';
import type { Operation, Operations } from './operations.ts';

/** Callers choose the name. */
const MAX_NAME_LENGTH = 100;
/** What a caller is not the reason for. */
const FAULTS: ReadonlySet<unknown> = new Set(['INTERNAL', 'UNAVAILABLE', 'TIMEOUT']);

/** A subscription has none: it may stay open for days, and what it shows has traces of its own. */
export function traceOperations(operations: Operations, tracing: Tracing): Operations {
  return { ...operations, execute: (operation) => traced(tracing, operation, () => operations.execute(operation)) };
}

function traced(
  tracing: Tracing,
  { document, operationName, traceparent }: Operation,
  execute: () => Promise<ExecutionResult>,
): Promise<ExecutionResult> {
  const ast = getOperationAST(document, operationName);
  const type = ast?.operation ?? 'query';
  const attributes = {
    'graphql.operation.type': type,
    'graphql.operation.name': ast?.name?.value.slice(0, MAX_NAME_LENGTH),
  };
  const span = { name: `GraphQL ${type}`, kind: 'server', parent: parseTraceparent(traceparent), attributes } as const;
  return withScope({ tracing, span }, async (scope) => {
    const result = await execute();
    const fault = result.errors?.map(({ extensions }) => extensions.code).find((code) => FAULTS.has(code));
    if (typeof fault === 'string') scope.fail(fault);
    return result;
  });
}
