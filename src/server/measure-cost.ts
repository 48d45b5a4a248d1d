import { complexityFromQuery } from '@pothos/plugin-complexity';
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
} from 'graphql';
import { MUTATION_COST, OPERATION_COST } from '../../schema/limits.ts';

export interface Measured {
  readonly schema: GraphQLSchema;
  /** Valid for the schema, and within the limits of a document. */
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly context: object;
}

export interface OperationCost {
  /** As the schema counts it; 0 where that cannot be told, because execution will refuse it. */
  readonly complexity: number;
  /** What its token pays. */
  readonly points: number;
}

/** Of operations without variables, which cost the same each time; they go with their documents. */
const known = new WeakMap<OperationDefinitionNode, OperationCost>();

/** What an operation costs, before anything of it is executed. A subscription costs what one of its events does. */
export function measureCost({ operationName, ...measured }: Measured): OperationCost {
  const operation = getOperationAST(measured.document, operationName);
  if (!operation) return { complexity: 0, points: OPERATION_COST };
  if (operation.variableDefinitions?.length) return measureOperation(operation, measured);
  const cost = known.get(operation) ?? measureOperation(operation, measured);
  known.set(operation, cost);
  return cost;
}

function measureOperation(
  operation: OperationDefinitionNode,
  { schema, document, variables, context }: Omit<Measured, 'operationName'>,
): OperationCost {
  const values = variables ?? {};
  // Asked first, for one error: the measuring below would print the whole input once for each of its faults.
  const options = { maxErrors: 1, hideSuggestions: true };
  const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], values, options);
  if (errors) return { complexity: 0, points: OPERATION_COST };
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION);
  const alone: DocumentNode = { ...document, definitions: [operation, ...fragments] };
  const complexity = complexityOf(alone, { schema, variables: values, ctx: context });
  const writes = operation.operation === 'mutation' ? operation.selectionSet.selections.length : 0;
  return { complexity, points: OPERATION_COST + complexity + writes * MUTATION_COST };
}

interface Known {
  readonly schema: GraphQLSchema;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly ctx: object;
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
