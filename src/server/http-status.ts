/** Which HTTP status an error gets. Yoga reads it from `extensions.http` and takes it out again. */
import { type ExecutionResult, GraphQLError } from 'graphql';

const LIMIT_CODES: ReadonlySet<unknown> = new Set([
  'QUERY_TOO_COMPLEX',
  'TOO_MANY_TOKENS',
  'TOO_MANY_MUTATIONS',
  'RESPONSE_TOO_LARGE',
]);
const RETRY_CODES: ReadonlySet<unknown> = new Set(['UNAVAILABLE', 'TIMEOUT', 'DISK_FULL', 'OVERLOADED']);

/** A request that is refused before anything is executed. */
export function refusal(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): GraphQLError {
  return new GraphQLError(message, { extensions: { code, http: { status, headers } } });
}

/**
 * Gives each error of a result its status. As the GraphQL-over-HTTP specification has it: 200 where there is data;
 * otherwise 400, but 200 for `application/json`. Beyond it, for clients that look at nothing else: 400 for an exceeded
 * limit, 429 where waiting helps, 503 where trying again helps, 500 for a defect.
 */
export function withStatus(result: ExecutionResult): ExecutionResult {
  for (const error of result.errors ?? []) {
    const http = statusOf(error, result);
    if (http) error.extensions.http ??= http;
  }
  return result;
}

/** Of what is thrown outside an operation: nothing was executed, so the status says it. */
export function refusedBy(mask: (error: unknown) => GraphQLError, error: unknown): GraphQLError {
  if (error instanceof GraphQLError && !error.originalError) return error;
  const masked = mask(error);
  withStatus({ errors: [masked] });
  return masked;
}

interface HttpStatus {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly spec?: true;
}

function statusOf({ extensions: { code, retryAfter } }: GraphQLError, result: ExecutionResult): HttpStatus | null {
  if (code === 'RATE_LIMITED') return { status: 429, headers: { 'Retry-After': String(retryAfter) } };
  if (code === 'TOO_MANY_OPERATIONS') return { status: 429, headers: { 'Retry-After': '1' } };
  if (LIMIT_CODES.has(code)) return { status: 400 };
  if (RETRY_CODES.has(code) && !result.data)
    return { status: 503, headers: { 'Retry-After': String(retryAfter ?? 2) } };
  if ('data' in result) return null;
  return code === 'INTERNAL' ? { status: 500 } : { status: 400, spec: true };
}
