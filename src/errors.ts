/** One thing that is wrong with an input, at `path` from the root of what the caller sent. */
export interface InputIssue {
  readonly path: readonly string[];
  readonly message: string;
}

/** What a check of an input found, with paths from the root of what the caller sent. */
export function inputIssues(
  error: { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] },
  path: readonly string[],
): InputIssue[] {
  return error.issues.map((issue) => ({ path: [...path, ...issue.path.map(String)], message: issue.message }));
}

/**
 * A refusal that the caller can understand and act on. `code` is stable and part of the API; `message` is one or two
 * sentences for a person and never holds a secret or an internal detail.
 */
export abstract class SlipwayError extends Error {
  abstract readonly code: string;
}

/** What the caller sent is not valid; nothing was written. */
export class InvalidInputError extends SlipwayError {
  override readonly name = 'InvalidInputError';
  readonly code: string;
  readonly issues: readonly InputIssue[];

  /** `code` names the kind of fault when all issues share one, such as INVALID_REF or CALLBACK_URL_DENIED. */
  constructor(issues: readonly InputIssue[], code = 'INVALID_INPUT') {
    super(issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
    this.issues = issues;
    this.code = code;
  }
}

/** There is no such thing, or the caller may not know that there is. */
export class NotFoundError extends SlipwayError {
  override readonly name = 'NotFoundError';
  readonly code = 'NOT_FOUND';
  readonly resource: string;

  constructor(resource: string, id: string) {
    super(`There is no ${resource} ${id}.`);
    this.resource = resource;
  }
}

/** The idempotency key was used before, with another input. */
export class IdempotencyConflictError extends SlipwayError {
  override readonly name = 'IdempotencyConflictError';
  readonly code = 'IDEMPOTENCY_CONFLICT';
  /** The build (or, where none was made, the project) that holds the key. */
  readonly existingId: string;

  constructor(existingId: string) {
    super('This idempotency key was used before with another input. Use a new key for a new request.');
    this.existingId = existingId;
  }
}

/** The name is taken. */
export class ConflictError extends SlipwayError {
  override readonly name = 'ConflictError';
  readonly code = 'CONFLICT';
}

/** The build is not in a state that allows this. */
export class BuildStateError extends SlipwayError {
  override readonly name = 'BuildStateError';
  readonly code = 'BUILD_STATE';
  readonly status: string;

  constructor(status: string, message: string) {
    super(message);
    this.status = status;
  }
}

/** The task is not in a state that allows this. */
export class TaskStateError extends SlipwayError {
  override readonly name = 'TaskStateError';
  readonly code = 'TASK_STATE';
  readonly status: string;

  constructor(status: string, message: string) {
    super(message);
    this.status = status;
  }
}

/** The lease of a task has ended: it has run out, was given up, or somebody else has the task. */
export class LeaseLostError extends SlipwayError {
  override readonly name = 'LeaseLostError';
  readonly code = 'LEASE_LOST';
  /** The status that the task has now. */
  readonly status: string;

  constructor(status: string) {
    super('This lease has ended, so nothing was changed. Whatever the worker still does for the task counts no more.');
    this.status = status;
  }
}

/** The project cannot take builds as it is. */
export class ProjectNotReadyError extends SlipwayError {
  override readonly name = 'ProjectNotReadyError';
  readonly code = 'PROJECT_NOT_READY';
}

/** The project has used up its budget of the day. */
export class BudgetExceededError extends SlipwayError {
  override readonly name = 'BudgetExceededError';
  readonly code = 'BUDGET_EXCEEDED';
  /** When the next day begins. */
  readonly resetsAt: Date;

  constructor(message: string, resetsAt: Date) {
    super(message);
    this.resetsAt = resetsAt;
  }
}

/** The viewer is known and may not do this. */
export class ForbiddenError extends SlipwayError {
  override readonly name = 'ForbiddenError';
  readonly code = 'FORBIDDEN';
  readonly requiredScope: string;

  constructor(requiredScope: string) {
    super(
      requiredScope === 'all projects'
        ? 'This needs a token that is not limited to projects.'
        : `This needs a token with the scope ${requiredScope}.`,
    );
    this.requiredScope = requiredScope;
  }
}

/** The answer would hold more than an answer may. */
export class ResponseTooLargeError extends SlipwayError {
  override readonly name = 'ResponseTooLargeError';
  readonly code = 'RESPONSE_TOO_LARGE';
  readonly limitBytes: number;

  constructor(limitBytes: number) {
    const limit = `${limitBytes / 1024 ** 2} MiB`;
    super(`The prompts, outputs, events and logs of this answer are more than ${limit}. Ask for fewer at a time.`);
    this.limitBytes = limitBytes;
  }
}

/** The token or the address has asked for too much in too short a time. */
export class RateLimitedError extends SlipwayError {
  override readonly name = 'RateLimitedError';
  readonly code = 'RATE_LIMITED';
  /** Whole seconds until the same request would pass. */
  readonly retryAfter: number;
  /** What is left of the budget, for whoever has one. */
  readonly budget: object | null;

  constructor(retryAfter: number, budget: object | null = null) {
    super(`Too much was asked for in too short a time. Try again in ${retryAfter} s.`);
    this.retryAfter = retryAfter;
    this.budget = budget;
  }
}

/** Nothing is wrong with the request: try again later. */
export class UnavailableError extends SlipwayError {
  override readonly name = 'UnavailableError';
  readonly code = 'UNAVAILABLE';
}

/** More is open at the same time than this process takes. */
export class OverloadedError extends SlipwayError {
  override readonly name = 'OverloadedError';
  readonly code = 'OVERLOADED';
  /** Whole seconds after which it is worth another try. */
  readonly retryAfter: number;

  constructor(message: string, retryAfter: number) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** The answer was given up because it took too long: the caller has to ask for less. */
export class TooSlowError extends SlipwayError {
  override readonly name = 'TooSlowError';
  readonly code = 'TOO_SLOW';
}

/** The server has no room for another build. */
export class DiskFullError extends SlipwayError {
  override readonly name = 'DiskFullError';
  readonly code = 'DISK_FULL';

  constructor() {
    super(
      'The disk of the server is nearly full, so it takes no builds. Its operator has to make room; then try again.',
    );
  }
}

/** This process does not have the master key of the database. */
export class MasterKeyError extends SlipwayError {
  override readonly name = 'MasterKeyError';
  readonly code = 'WRONG_MASTER_KEY';
  /** What the operator can do, one line each. */
  readonly hints: readonly string[];

  constructor(message: string, hints: readonly string[]) {
    super(message);
    this.hints = hints;
  }
}

/** The attempt is no longer the build's current one, as its row or its workspace says: stop, and write nothing more. */
export class SupersededError extends Error {
  override readonly name = 'SupersededError';
}

/** Nobody knows whether the server has done what a remote worker asked. Without a code: it says nothing about the database. */
export class ServerSilentError extends Error {
  override readonly name = 'ServerSilentError';
}
