/** The variables of an operation, read once for all that is done with it. */
import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLSchema,
  Kind,
  type ValidatedExecutionArgs,
  type ValidatedSubscriptionArgs,
  validateExecutionArgs,
  validateSubscriptionArgs,
} from 'graphql';
import { DOCUMENT_LIMITS } from './limits.ts';
import type { Operation } from './operations.ts';

/** An operation that may be executed, or what is wrong with its name or its variables. */
export type ReadOperation<Args = ValidatedExecutionArgs> =
  | { readonly ok: true; readonly args: Args }
  | { readonly ok: false; readonly errors: readonly GraphQLError[] };

export interface OperationReaderOptions {
  readonly schema: GraphQLSchema;
  /** Suggestions. */
  readonly showSchema: boolean;
  /** Of what cannot even be read, such as variables that are nested too deeply: it is wrong, too. */
  readonly mask: (error: unknown) => GraphQLError;
}

export interface OperationReader {
  read(operation: Operation): ReadOperation;
  readSubscription(operation: Operation): ReadOperation<ValidatedSubscriptionArgs>;
}

export function createOperationReader(options: OperationReaderOptions): OperationReader {
  /** Of documents with one operation, which has no variables. */
  const known = new WeakMap<DocumentNode, ReadOperation>();

  function toRead<Args extends ValidatedExecutionArgs>(
    validate: () => Args | readonly GraphQLError[],
  ): ReadOperation<Args> {
    try {
      const args = validate();
      return 'schema' in args ? { ok: true, args } : { ok: false, errors: args };
    } catch (error) {
      return { ok: false, errors: [options.mask(error)] };
    }
  }

  const readNew = (operation: Operation) => toRead(() => validateExecutionArgs(executionArgs(options, operation)));
  return {
    read(operation) {
      const { document, operationName } = operation;
      const found = operationName ? undefined : known.get(document);
      if (found) return found;
      if (operationName || !isAlways(document)) return readNew(operation);
      // Values that it does not ask for are not kept with it.
      const read = readNew({ ...operation, variables: null });
      if (read.ok) known.set(document, read);
      return read;
    },
    readSubscription: (operation) => toRead(() => validateSubscriptionArgs(executionArgs(options, operation))),
  };
}

function executionArgs(
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

/** Does it mean the same whatever its variables are? */
function isAlways({ definitions }: DocumentNode): boolean {
  const operations = definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  return operations.length === 1 && !operations[0]?.variableDefinitions?.length;
}
