/** Parses, checks and executes operations: the one way for HTTP, SSE and WebSocket, so that all keep the same limits. */
import {
  type DocumentNode,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import { createContext } from '../../schema/context.ts';
import type { Viewer } from '../auth/viewer.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { DOCUMENT_LIMITS, exceededLimit, type ServerLimits } from './limits.ts';
import { maskError } from './mask-error.ts';
import { SharedExecutions } from './shared-executions.ts';
import { subscribe } from './subscribe.ts';
import type { ResultStream, Subscriptions } from './subscriptions.ts';
import type { TokenWatch } from './token-watch.ts';

/** Documents of clients repeat; long ones hold their values in the text and do not. */
const MAX_CACHED_DOCUMENTS = 500;
const MAX_CACHED_CHARACTERS = 8_192;

export interface OperationsOptions {
  readonly orchestrator: Orchestrator;
  readonly schema: GraphQLSchema;
  readonly limits: ServerLimits;
  readonly subscriptions: Subscriptions;
  readonly tokens: TokenWatch;
}

/** A document that may be executed, or what is wrong with it. */
type PreparedDocument =
  | { readonly ok: true; readonly document: DocumentNode }
  | { readonly ok: false; readonly errors: readonly GraphQLError[] };

export interface Operation {
  /** From `prepare`. */
  readonly document: DocumentNode;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly viewer: Viewer;
}

export interface Operations {
  readonly schema: GraphQLSchema;
  /**
   * Parses and validates. At most ten errors, with the codes GRAPHQL_PARSE_FAILED, GRAPHQL_VALIDATION_FAILED,
   * TOO_MANY_TOKENS, TOO_MANY_MUTATIONS or QUERY_TOO_COMPLEX.
   */
  prepare(query: string): PreparedDocument;
  /** A query or mutation. Never rejects: the result's errors are ready for the caller. */
  execute(operation: Operation): Promise<ExecutionResult>;
  /** A subscription, or the one result that says why there is none. Never rejects. */
  subscribe(operation: Operation): Promise<ResultStream | ExecutionResult>;
  mask(error: unknown): GraphQLError;
}

export function createOperations(options: OperationsOptions): Operations {
  const { orchestrator, schema, limits } = options;
  const showSchema = orchestrator.config.introspection ?? false;
  const rules = showSchema ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
  const executions = new SharedExecutions();
  const validDocuments = new Map<string, DocumentNode>();
  const mask = (error: unknown) => maskError(error, orchestrator.logger);
  const masked = (result: ExecutionResult): ExecutionResult =>
    result.errors ? { ...result, errors: result.errors.map(mask) } : result;

  return {
    schema,
    mask,
    prepare(query) {
      const known = validDocuments.get(query);
      if (known) return { ok: true, document: known };
      const parsed = parseDocument(query);
      if (!parsed.ok) return parsed;
      const { document } = parsed;
      const errors = validateDocument({ schema, document, rules, hideSuggestions: !showSchema });
      if (errors.length > 0) return { ok: false, errors };
      if (query.length <= MAX_CACHED_CHARACTERS) remember(validDocuments, query, document);
      return parsed;
    },
    async execute(operation) {
      const signal = AbortSignal.timeout(limits.operationMs);
      try {
        const args = executionArgs(schema, operation, showSchema);
        const contextValue = createContext(orchestrator, operation.viewer);
        return masked(await execute({ ...args, contextValue, abortSignal: signal }));
      } catch (error) {
        return { errors: [signal.aborted ? timeoutError(limits.operationMs) : mask(error)] };
      }
    },
    async subscribe(operation) {
      const { viewer } = operation;
      const args = executionArgs(schema, operation, showSchema);
      const newContext = () => createContext(orchestrator, viewer);
      try {
        const stream = await subscribe({ args, viewer, newContext, executions, finish: masked });
        if (!(Symbol.asyncIterator in stream)) return stream;
        return options.subscriptions.add({
          source: stream,
          watch: (end) => options.tokens.watch(viewer.tokenId, () => end(lostToken())),
          explain: mask,
        });
      } catch (error) {
        return { errors: [mask(error)] };
      }
    },
  };
}

function executionArgs(schema: GraphQLSchema, operation: Operation, showSchema: boolean) {
  return {
    schema,
    document: operation.document,
    operationName: operation.operationName ?? null,
    variableValues: operation.variables ?? null,
    hideSuggestions: !showSchema,
    options: { maxCoercionErrors: DOCUMENT_LIMITS.coercionErrors },
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
    return { ok: false, errors: [new GraphQLError(error.message, { source, positions, extensions: { code } })] };
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
      new GraphQLError(message, { nodes, extensions: { ...extensions, code: 'GRAPHQL_VALIDATION_FAILED' } }),
  );
}

function timeoutError(limitMs: number): GraphQLError {
  return new GraphQLError(
    `This took longer than ${limitMs} ms and was given up. A mutation may still have taken effect: repeat it with the same idempotency key.`,
    { extensions: { code: 'TIMEOUT', retryable: true } },
  );
}

function lostToken(): GraphQLError {
  return new GraphQLError('The token was revoked or has expired.', { extensions: { code: 'UNAUTHENTICATED' } });
}
