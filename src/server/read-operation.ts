/** The variables of an operation, read once for all that is done with it. */
import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  Kind,
  type ValidatedExecutionArgs,
  validateExecutionArgs,
} from 'graphql';
import { DOCUMENT_LIMITS } from './limits.ts';
import type { Operation } from './operations.ts';

/** An operation that may be executed, or what is wrong with its name or its variables. */
export type ReadOperation =
  | { readonly ok: true; readonly args: ValidatedExecutionArgs }
  | { readonly ok: false; readonly errors: readonly GraphQLError[] };

export interface OperationReaderOptions {
  readonly schema: GraphQLSchema;
  /** Suggestions. */
  readonly showSchema: boolean;
}

export function createOperationReader(options: OperationReaderOptions): (operation: Operation) => ReadOperation {
  /** Of documents with one operation, which has no variables. */
  const known = new WeakMap<DocumentNode, ReadOperation>();
  return (operation) => {
    const { document, operationName } = operation;
    const found = operationName ? undefined : known.get(document);
    if (found) return found;
    if (operationName || !isAlways(document)) return readOperation(executionArgs(options, operation));
    // Values that it does not ask for are not kept with it.
    const read = readOperation(executionArgs(options, { ...operation, variables: null }));
    known.set(document, read);
    return read;
  };
}

export function executionArgs(
  { schema, showSchema }: OperationReaderOptions,
  { document, operationName, variables }: Operation,
) {
  return {
    ...{ schema, document },
    operationName: operationName ?? null,
    variableValues: variables ?? null,
    hideSuggestions: !showSchema,
    options: { maxCoercionErrors: DOCUMENT_LIMITS.coercionErrors },
  };
}

function readOperation(given: ReturnType<typeof executionArgs>): ReadOperation {
  const args = validateExecutionArgs(given);
  return 'schema' in args ? { ok: true, args } : { ok: false, errors: args };
}

/** Does it mean the same whatever its variables are? */
function isAlways({ definitions }: DocumentNode): boolean {
  const operations = definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  return operations.length === 1 && !operations[0]?.variableDefinitions?.length;
}
