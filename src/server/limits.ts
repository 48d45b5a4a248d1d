/** What one document, one operation and one connection may cost: the same over HTTP, SSE and WebSocket. */
import { type DocumentNode, type FragmentDefinitionNode, GraphQLError, Kind, type SelectionSetNode } from 'graphql';
import { MAX_DEPTH } from '../../schema/limits.ts';

/** Checked before validation, so that validation itself stays cheap. */
export const DOCUMENT_LIMITS = {
  tokens: 2_000,
  comments: 500,
  depth: MAX_DEPTH,
  aliases: 30,
  directives: 10,
  /** Fields with every fragment spread out: fragments that spread fragments twice grow by powers of two. */
  fields: 1_000,
  rootMutationFields: 5,
  validationErrors: 10,
  /** Errors about the values of one operation's variables. */
  coercionErrors: 10,
} as const;

/** The introspection query of GraphiQL nests 15 levels by itself. */
const INTROSPECTION_EXTRA_DEPTH = 8;

export interface ServerLimits {
  /** Bytes of a request body: a prompt of 1 MiB, escaped, and its query. */
  readonly bodyBytes: number;
  /** Bytes of a WebSocket message: a body and its envelope. */
  readonly messageBytes: number;
  /** Bytes that wait to be sent over one WebSocket before nothing more is read from it. */
  readonly unsentBytes: number;
  /** A query or mutation. */
  readonly operationMs: number;
  readonly connections: number;
  readonly sockets: number;
  /** Operations of one WebSocket at the same time. */
  readonly operationsPerSocket: number;
  readonly connectionInitMs: number;
  /** A WebSocket that has not answered a ping when the next is due is dead. */
  readonly pingMs: number;
  /** An event stream whose reader takes nothing for this long is cut; its client resumes by cursor. */
  readonly stalledStreamMs: number;
  /** How often tokens of open connections are looked up. */
  readonly tokenCheckMs: number;
  readonly headersMs: number;
  readonly requestMs: number;
  /** Of a graceful shutdown, then everything is cut. */
  readonly shutdownMs: number;
}

export const SERVER_LIMITS: ServerLimits = {
  bodyBytes: 1.5 * 1024 * 1024,
  messageBytes: 1.6 * 1024 * 1024,
  unsentBytes: 1024 * 1024,
  operationMs: 15_000,
  connections: 12_000,
  sockets: 10_000,
  operationsPerSocket: 1_000,
  connectionInitMs: 3_000,
  pingMs: 12_000,
  stalledStreamMs: 60_000,
  tokenCheckMs: 1_000,
  headersMs: 10_000,
  requestMs: 30_000,
  shutdownMs: 5_000,
};

/** The first limit that the document exceeds, as an error for the caller; null when it keeps them all. */
export function exceededLimit(document: DocumentNode): GraphQLError | null {
  const size = measure(document);
  const { depth, aliases, directives, fields, rootMutationFields } = DOCUMENT_LIMITS;
  if (size.rootMutationFields > rootMutationFields) {
    return refusal('TOO_MANY_MUTATIONS', 'mutations', size.rootMutationFields, rootMutationFields);
  }
  if (size.depth > depth) return refusal('QUERY_TOO_COMPLEX', 'nested levels', size.depth, depth);
  if (size.aliases > aliases) return refusal('QUERY_TOO_COMPLEX', 'aliases', size.aliases, aliases);
  if (size.directives > directives) return refusal('QUERY_TOO_COMPLEX', 'directives', size.directives, directives);
  if (size.fields > fields) return refusal('QUERY_TOO_COMPLEX', 'fields', size.fields, fields);
  return null;
}

function refusal(code: string, what: string, count: number, limit: number): GraphQLError {
  return new GraphQLError(`The document has ${count} ${what}; at most ${limit} are allowed.`, {
    extensions: { code, count, limit },
  });
}

interface Size {
  readonly depth: number;
  readonly fields: number;
  /** Fields of the selection set itself, not of those inside. */
  readonly own: number;
}

const NOTHING: Size = { depth: 0, fields: 0, own: 0 };

/**
 * Measures each definition once, however often it is spread. Recursion is bounded by the number of tokens; fragments
 * that spread themselves count as nothing here and are refused by validation.
 */
function measure(document: DocumentNode) {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const measured = new Map<string, Size>();
  const total = { depth: 0, fields: 0, aliases: 0, directives: 0, rootMutationFields: 0 };

  function measureFragment(name: string): Size {
    const known = measured.get(name);
    if (known) return known;
    const fragment = fragments.get(name);
    measured.set(name, NOTHING);
    if (!fragment) return NOTHING;
    total.directives += fragment.directives?.length ?? 0;
    const size = measureSelections(fragment.selectionSet);
    measured.set(name, size);
    return size;
  }

  function measureSelections(set: SelectionSetNode | undefined): Size {
    let { depth, fields, own } = NOTHING;
    for (const selection of set?.selections ?? []) {
      total.directives += selection.directives?.length ?? 0;
      if (selection.kind === Kind.FIELD) {
        const inner = measureSelections(selection.selectionSet);
        const extra = selection.name.value.startsWith('__') ? INTROSPECTION_EXTRA_DEPTH : 0;
        if (selection.alias) total.aliases += 1;
        own += 1;
        fields += 1 + inner.fields;
        depth = Math.max(depth, 1 + Math.max(0, inner.depth - extra));
      } else {
        const inner =
          selection.kind === Kind.FRAGMENT_SPREAD
            ? measureFragment(selection.name.value)
            : measureSelections(selection.selectionSet);
        own += inner.own;
        fields += inner.fields;
        depth = Math.max(depth, inner.depth);
      }
    }
    return { depth, fields, own };
  }

  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    total.directives += definition.directives?.length ?? 0;
    for (const variable of definition.variableDefinitions ?? []) total.directives += variable.directives?.length ?? 0;
    const size = measureSelections(definition.selectionSet);
    total.depth = Math.max(total.depth, size.depth);
    total.fields += size.fields;
    if (definition.operation === 'mutation') total.rootMutationFields += size.own;
  }
  return total;
}
