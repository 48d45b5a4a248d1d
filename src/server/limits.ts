/** What one document, one operation and one connection may cost: the same over HTTP, SSE and WebSocket. */
import { type DocumentNode, type FragmentDefinitionNode, GraphQLError, Kind, type SelectionSetNode } from 'graphql';
import { MAX_DEPTH } from '../../schema/limits.ts';
import type { Config } from '../config/config.ts';

/** Checked before validation, so that validation itself stays cheap. */
export const DOCUMENT_LIMITS = {
  tokens: 2_000,
  comments: 500,
  depth: MAX_DEPTH,
  aliases: 30,
  directives: 5,
  /** Fields that their selection set has already, under the same name: they answer nothing. */
  repetitions: 10,
  /** Fields with every fragment spread out: fragments that spread fragments twice grow by powers of two. */
  fields: 1_000,
  /** Named and inline ones: validation compares each with each. */
  fragments: 40,
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
  /** Operations of one WebSocket at the same time, and of one token over everything that it has open here. */
  readonly operationsPerSocket: number;
  readonly operationsPerToken: number;
  readonly socketsPerToken: number;
  /** Requests over REST that wait at the same time, of all tokens together. */
  readonly longPolls: number;
  /** What a token may ask for in a minute, in points of cost; 0 for any number. */
  readonly pointsPerMinute: number;
  /** Requests of one address without a valid token, in a minute; 0 for any number. */
  readonly refusedPerMinute: number;
  /** Bytes of a message of a WebSocket that has not shown its token yet. */
  readonly firstMessageBytes: number;
  readonly connectionInitMs: number;
  /** A WebSocket that has not answered a ping when the next is due is dead. */
  readonly pingMs: number;
  /** An event stream whose reader takes nothing for this long is cut; its client resumes by cursor. */
  readonly stalledStreamMs: number;
  /** How often tokens of open connections are looked up: what is lost is noticed within a second. */
  readonly tokenCheckMs: number;
  readonly headersMs: number;
  readonly requestMs: number;
  /** Of a graceful shutdown, then everything is cut. */
  readonly shutdownMs: number;
}

/** Those that no option sets. */
type FixedLimits = Omit<
  ServerLimits,
  'operationsPerToken' | 'socketsPerToken' | 'pointsPerMinute' | 'refusedPerMinute'
>;

const SERVER_LIMITS: FixedLimits = {
  bodyBytes: 1.5 * 1024 * 1024,
  messageBytes: 1.6 * 1024 * 1024,
  unsentBytes: 1024 * 1024,
  operationMs: 10_000,
  connections: 12_000,
  sockets: 10_000,
  operationsPerSocket: 50,
  longPolls: 1_000,
  firstMessageBytes: 64 * 1024,
  connectionInitMs: 3_000,
  pingMs: 12_000,
  stalledStreamMs: 60_000,
  tokenCheckMs: 500,
  headersMs: 10_000,
  requestMs: 30_000,
  shutdownMs: 5_000,
};

export function serverLimits(config: Config, changes: Partial<ServerLimits> = {}): ServerLimits {
  return {
    ...SERVER_LIMITS,
    operationsPerToken: config.operationsPerToken,
    socketsPerToken: config.socketsPerToken,
    pointsPerMinute: config.rateLimit,
    refusedPerMinute: config.refusedPerMinute,
    ...changes,
  };
}

/** The first limit that the document exceeds, as an error for the caller; null when it keeps them all. */
export function exceededLimit(document: DocumentNode): GraphQLError | null {
  const size = measure(document);
  const { depth, aliases, directives, repetitions, fields, fragments, rootMutationFields } = DOCUMENT_LIMITS;
  if (size.rootMutationFields > rootMutationFields) {
    return refusal('TOO_MANY_MUTATIONS', 'mutations', size.rootMutationFields, rootMutationFields);
  }
  if (size.depth > depth) return refusal('QUERY_TOO_COMPLEX', 'nested levels', size.depth, depth);
  if (size.aliases > aliases) return refusal('QUERY_TOO_COMPLEX', 'aliases', size.aliases, aliases);
  if (size.directives > directives) return refusal('QUERY_TOO_COMPLEX', 'directives', size.directives, directives);
  if (size.repetitions > repetitions) {
    return refusal('QUERY_TOO_COMPLEX', 'repeated fields', size.repetitions, repetitions);
  }
  if (size.fields > fields) return refusal('QUERY_TOO_COMPLEX', 'fields', size.fields, fields);
  if (size.fragments > fragments) return refusal('QUERY_TOO_COMPLEX', 'fragments', size.fragments, fragments);
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
  const total = {
    ...{ depth: 0, fields: 0, aliases: 0, directives: 0, repetitions: 0, rootMutationFields: 0 },
    fragments: fragments.size,
  };

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
    const names = new Set<string>();
    for (const selection of set?.selections ?? []) {
      total.directives += selection.directives?.length ?? 0;
      if (selection.kind === Kind.FIELD) {
        const inner = measureSelections(selection.selectionSet);
        const extra = selection.name.value.startsWith('__') ? INTROSPECTION_EXTRA_DEPTH : 0;
        if (selection.alias) total.aliases += 1;
        const name = (selection.alias ?? selection.name).value;
        if (names.has(name)) total.repetitions += 1;
        names.add(name);
        own += 1;
        fields += 1 + inner.fields;
        depth = Math.max(depth, 1 + Math.max(0, inner.depth - extra));
      } else {
        if (selection.kind === Kind.INLINE_FRAGMENT) total.fragments += 1;
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
  // Validation looks into those that nothing spreads, too.
  for (const name of fragments.keys()) total.fields = Math.max(total.fields, measureFragment(name).fields);
  return total;
}
