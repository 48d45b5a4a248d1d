const MAX_MESSAGE_LENGTH = 1000;

export type GitFailureKind =
  | 'AUTH'
  | 'NOT_FOUND'
  | 'UNREACHABLE'
  /** The remote is, or leads to, where no remote may be. */
  | 'FORBIDDEN'
  /** It answers with a redirect that could not be followed. */
  | 'MOVED'
  | 'REJECTED'
  | 'STALE'
  | 'CONFLICT'
  | 'NESTED_REPOSITORY'
  | 'FILE_LIMIT'
  | 'SECRET_DETECTED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'OTHER';

export interface GitFailure {
  readonly ok: false;
  readonly kind: GitFailureKind;
  /** For a person; at most 1000 characters and without credentials. */
  readonly message: string;
}

export function gitFailure(kind: GitFailureKind, message: string): GitFailure {
  return { ok: false, kind, message: message.slice(0, MAX_MESSAGE_LENGTH).toWellFormed() };
}
