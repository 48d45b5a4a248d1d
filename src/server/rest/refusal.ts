/** Whatever goes wrong -> an RFC 9457 problem. The codes are those of GraphQL. */
import type { GraphQLError } from 'graphql';
import { currentTrace } from '../../telemetry/trace-scope.ts';
import { errorText } from '../error-text.ts';
import { withStatus } from '../http-status.ts';
import { problem } from '../problem.ts';
import type { Json } from './endpoint.ts';

/** What is not here has the status that GraphQL gives it: 400, or 429, 500 and 503. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  BUILD_STATE: 409,
  TASK_STATE: 409,
  LEASE_LOST: 409,
  PROJECT_NOT_READY: 409,
  BUDGET_EXCEEDED: 409,
  IDEMPOTENCY_CONFLICT: 422,
};

interface Issue {
  readonly path: readonly string[];
  readonly message: string;
}

/** A problem on its way to the caller. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;
  readonly members: Json;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    { retryAfter, headers = {}, ...members }: Json & { retryAfter?: unknown; headers?: Record<string, string> } = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.members = members;
    this.headers = retryAfter === undefined ? headers : { ...headers, 'retry-after': String(retryAfter) };
  }

  static unauthenticated(): Refusal {
    const headers = { 'www-authenticate': 'Bearer' };
    return new Refusal(401, 'UNAUTHENTICATED', 'Send a valid token: Authorization: Bearer slipway_…', { headers });
  }

  /** Issues of a body or a query that is not as the OpenAPI document says. */
  static invalid(issues: readonly Issue[], code = 'INVALID_INPUT'): Refusal {
    return new Refusal(400, code, 'What was sent is not valid: see errors.', { errors: issues.map(toFault) });
  }

  /** An error that `Operations` gives: `withStatus` says what it means where there is no data. */
  static of(error: GraphQLError): Refusal {
    withStatus({ errors: [error] });
    const { code, http, issues, requiredScope, errorId } = error.extensions;
    const { status = 500, headers = {} } = (http ?? {}) as { status?: number; headers?: Record<string, string> };
    const members = {
      ...(Array.isArray(issues) && { errors: issues.map(toFault) }),
      ...(requiredScope !== undefined && { requiredScope }),
      ...(errorId !== undefined && { errorId }),
    };
    const word = typeof code === 'string' ? code : 'INTERNAL';
    const lowered = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    return new Refusal(STATUS_OF_CODE[word] ?? status, word, errorText(error.message), {
      ...members,
      headers: lowered,
    });
  }

  /** A member of a mutation's union that implements UserError. */
  static ofUserError({ __typename, code, message, issues, ...members }: Json): Refusal {
    const status = STATUS_OF_CODE[String(code)] ?? (__typename === 'InvalidInputError' ? 400 : 409);
    // `status` is a member of the problem itself.
    const { status: state, ...others } = members;
    return new Refusal(status, String(code), errorText(String(message)), {
      ...others,
      ...(state !== undefined && { state }),
      ...(Array.isArray(issues) && { errors: issues.map(toFault) }),
    });
  }

  toResponse(): Response {
    const trace = currentTrace();
    return problem({
      status: this.status,
      detail: this.message,
      headers: this.headers,
      members: {
        type: `urn:slipway:problem:${this.code.toLowerCase().replaceAll('_', '-')}`,
        code: this.code,
        ...(trace && { traceId: trace.traceId }),
        ...this.members,
      },
    });
  }
}

/** The ids of a GraphQL input that are in a path here. */
const IN_PATH: ReadonlySet<string | undefined> = new Set(['id', 'projectId', 'taskId']);

/** `["body", "spec"]` -> `#/spec`; what use cases say of `["input", "spec"]`, too; `["first"]` -> the parameter `limit`. */
function toFault({ path, message }: Issue): Json {
  const [root, ...rest] = path;
  if (root === 'body' || (root === 'input' && !(rest.length === 1 && IN_PATH.has(rest[0])))) {
    return { detail: message, pointer: `#${rest.map((part) => `/${escapePointer(part)}`).join('')}` };
  }
  const name = (root === 'filter' ? rest[0] : root) ?? '';
  return { detail: message, parameter: root === 'input' ? 'id' : name === 'first' || name === 'last' ? 'limit' : name };
}

/** RFC 6901, then as the fragment of a URI. */
function escapePointer(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1').toWellFormed().slice(0, 100));
}
