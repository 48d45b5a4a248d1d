/** Which HTTP status an error gets. Yoga reads it from `extensions.http` and takes it out again. */
import { type ExecutionResult, GraphQLError } from 'graphql';

const LIMIT_CODES: ReadonlySet<unknown> = new Set(['QUERY_TOO_COMPLEX', 'TOO_MANY_TOKENS', 'TOO_MANY_MUTATIONS']);
const RETRY_CODES: ReadonlySet<unknown> = new Set(['UNAVAILABLE', 'TIMEOUT']);

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
 * limit, 503 where trying again helps, 500 for a defect.
 */
export function withStatus(result: ExecutionResult): ExecutionResult {
  for (const error of result.errors ?? []) {
    const http = statusOf(error.extensions.code, result);
    if (http) error.extensions.http ??= http;
  }
  return result;
}

function statusOf(code: unknown, result: ExecutionResult): { status: number; spec?: true } | null {
  if (LIMIT_CODES.has(code)) return { status: 400 };
  if (RETRY_CODES.has(code) && !result.data) return { status: 503 };
  if ('data' in result) return null;
  return code === 'INTERNAL' ? { status: 500 } : { status: 400, spec: true };
}
