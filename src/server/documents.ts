/** Documents of clients, parsed and checked; those that repeat are kept. */
import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import { errorText } from './error-text.ts';
import { DOCUMENT_LIMITS, exceededLimit } from './limits.ts';

/** Documents of clients repeat; long ones hold their values in the text and do not. */
const MAX_CACHED_DOCUMENTS = 500;
const MAX_CACHED_CHARACTERS = 8_192;

/** A document that may be executed, or what is wrong with it. */
export type PreparedDocument =
  | { readonly ok: true; readonly document: DocumentNode }
  | { readonly ok: false; readonly errors: readonly GraphQLError[] };

export interface DocumentsOptions {
  readonly schema: GraphQLSchema;
  /** Introspection and suggestions. */
  readonly showSchema: boolean;
}

/**
 * Gives a function that parses and validates. At most ten errors, with the codes GRAPHQL_PARSE_FAILED,
 * GRAPHQL_VALIDATION_FAILED, TOO_MANY_TOKENS, TOO_MANY_MUTATIONS or QUERY_TOO_COMPLEX.
 */
export function createDocuments({ schema, showSchema }: DocumentsOptions): (query: string) => PreparedDocument {
  const rules = showSchema ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
  const validDocuments = new Map<string, DocumentNode>();
  return (query) => {
    const known = validDocuments.get(query);
    if (known) return { ok: true, document: known };
    const parsed = parseDocument(query);
    if (!parsed.ok) return parsed;
    const { document } = parsed;
    const errors = validateDocument({ schema, document, rules, hideSuggestions: !showSchema });
    if (errors.length > 0) return { ok: false, errors };
    if (query.length <= MAX_CACHED_CHARACTERS) remember(validDocuments, query, document);
    return parsed;
  };
}

function remember(documents: Map<string, DocumentNode>, query: string, document: DocumentNode): void {
  const [oldest] = documents.keys();
  if (oldest !== undefined && documents.size >= MAX_CACHED_DOCUMENTS) documents.delete(oldest);
  documents.set(query, document);
}

function parseDocument(query: string): PreparedDocument {
  const { tokens, comments } = DOCUMENT_LIMITS;
  try {
    return { ok: true, document: parse(query, { maxLexicalTokens: tokens, maxComments: comments }) };
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    // Of the parser's errors only those about its limits end so.
    const code = error.message.endsWith('Parsing aborted.') ? 'TOO_MANY_TOKENS' : 'GRAPHQL_PARSE_FAILED';
    const { source, positions } = error;
    return {
      ok: false,
      errors: [new GraphQLError(errorText(error.message), { source, positions, extensions: { code } })],
    };
  }
}

interface Validation {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly rules: readonly ValidationRule[];
  readonly hideSuggestions: boolean;
}

function validateDocument({ schema, document, rules, hideSuggestions }: Validation): readonly GraphQLError[] {
  const exceeded = exceededLimit(document);
  if (exceeded) return [exceeded];
  // One more error says that there are more.
  const maxErrors = DOCUMENT_LIMITS.validationErrors - 1;
  return validate(schema, document, rules, { maxErrors, hideSuggestions }).map(
    ({ message, nodes, extensions }) =>
      new GraphQLError(errorText(message), {
        nodes,
        extensions: { ...extensions, code: 'GRAPHQL_VALIDATION_FAILED' },
      }),
  );
}
