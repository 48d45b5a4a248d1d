/** What a request or a subscription can fail with. */

/** The API answered, and refused. `code` is the API's: FORBIDDEN, NOT_FOUND, INVALID_CURSOR, INTERNAL … */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly extensions: Readonly<Record<string, unknown>>;

  constructor(message: string, extensions: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = typeof extensions.code === 'string' ? extensions.code : 'UNKNOWN';
    this.extensions = extensions;
  }

  /** The same request may work later. */
  get retryable(): boolean {
    return this.code === 'UNAVAILABLE' || this.code === 'INTERNAL' || this.extensions.retryable === true;
  }

  /** The token is missing, wrong, or does not allow this. */
  get notAllowed(): boolean {
    return this.code === 'UNAUTHENTICATED' || this.code === 'FORBIDDEN';
  }
}

/** The API was not reached, or the connection was cut. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

/** The shape of an error in a GraphQL answer. */
export interface AnswerError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}

/** The first of several errors speaks for all: the API puts the one that decides first. */
export function toApiError(errors: readonly AnswerError[]): ApiError {
  const [first] = errors;
  return new ApiError(first?.message ?? 'The API gave an error without a message.', first?.extensions);
}
