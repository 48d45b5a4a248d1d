import { complexityFromQuery } from '@pothos/plugin-complexity';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  type ValidatedExecutionArgs,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { MUTATION_COST, OPERATION_COST } from '../../schema/limits.ts';

/** An operation whose variables have been read. */
export type MeasuredOperation = Pick<
  ValidatedExecutionArgs,
  'schema' | 'document' | 'operation' | 'fragmentDefinitions' | 'rawVariableValues'
>;

export interface OperationCost {
  /** As the schema counts it; 0 where that cannot be told, because execution will refuse it. */
  readonly complexity: number;
  /** What its token pays. */
  readonly points: number;
}

/** Of operations that cost the same each time; null for others. They go with their documents. */
const known = new WeakMap<OperationDefinitionNode, OperationCost | null>();

/**
 * What an operation costs, before anything of it is executed; null is one that execution will refuse. A subscription costs what
 * one of its events does.
 */
export function measureCost(measured: MeasuredOperation | null): OperationCost {
  if (!measured) return { complexity: 0, points: OPERATION_COST };
  const { operation } = measured;
  const fixed = known.get(operation);
  if (fixed) return fixed;
  const cost = measureOperation(measured);
  if (fixed === undefined) known.set(operation, dependsOnVariables(measured) ? null : cost);
  return cost;
}

function measureOperation({
  schema,
  operation,
  fragmentDefinitions,
  rawVariableValues,
}: MeasuredOperation): OperationCost {
  const alone: DocumentNode = {
    kind: Kind.DOCUMENT,
    definitions: [operation, ...Object.values(fragmentDefinitions)],
  };
  const complexity = complexityOf(alone, { schema, variables: rawVariableValues ?? {} });
  const writes = operation.operation === 'mutation' ? operation.selectionSet.selections.length : 0;
  return { complexity, points: OPERATION_COST + complexity + writes * MUTATION_COST };
}

interface Known {
  readonly schema: GraphQLSchema;
  readonly variables: Readonly<Record<string, unknown>>;
}

function complexityOf(document: DocumentNode, known: Known): number {
  try {
    return complexityFromQuery(document, known).complexity;
  } catch (error) {
    // An argument whose value does not fit.
    if (error instanceof GraphQLError) return 0;
    throw error;
  }
}

/** Is a variable given to a field that counts by its arguments, such as the size of a page? */
function dependsOnVariables({ schema, document }: MeasuredOperation): boolean {
  const types = new TypeInfo(schema);
  let found = false;
  const Variable = () => {
    found ||= typeof types.getFieldDef()?.extensions.complexity === 'function';
  };
  visit(document, visitWithTypeInfo(types, { Variable }));
  return found;
}
