/** What the API refuses, said to a person. */
import { CliError, EXIT } from './exit-code.ts';

interface Answer {
  readonly __typename: string;
  readonly code?: string;
  readonly message?: string;
  readonly issues?: readonly { readonly path: readonly string[]; readonly message: string }[];
}

/** The payload of a mutation's result. Throws CliError when the result is one of its errors. */
export function accepted<R extends Answer, T extends R['__typename']>(
  result: R,
  payload: T,
): Extract<R, { readonly __typename: T }> {
  if (result.__typename === payload) return result as Extract<R, { readonly __typename: T }>;
  const hints = result.issues?.map((issue) => `${issue.path.join('.')}: ${issue.message}`) ?? [];
  // The message of an input error is its issues in one line.
  const message = hints.length > 0 ? 'The input is not valid.' : (result.message ?? 'The API refused.');
  throw new CliError(message, { code: result.code ?? 'REFUSED', hints, exitCode: EXIT.error });
}
