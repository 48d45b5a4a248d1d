/** Kubernetes, or the way to it, has refused or failed. `message` is Kubernetes' own where it gave one. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** Of the answer; null when there was none. */
  readonly status: number | null;
  /**
   * Kubernetes' reason, such as NotFound, AlreadyExists, Conflict, Forbidden, Expired; without an answer one of Timeout,
   * Aborted, Unreachable, Unusable (an answer that nobody can use), InvalidName, NotConfigured.
   */
  readonly reason: string;
  /** The same call may succeed later. A write may have come through all the same. */
  readonly retryable: boolean;
  /** How long the server wants to be left alone; null when it did not say. */
  readonly retryAfterMs: number | null;

  constructor(fault: {
    readonly status: number | null;
    readonly reason: string;
    readonly message: string;
    readonly retryable: boolean;
    readonly retryAfterMs?: number | null;
  }) {
    super(cutMessage(fault.message));
    this.status = fault.status;
    this.reason = fault.reason;
    this.retryable = fault.retryable;
    this.retryAfterMs = fault.retryAfterMs ?? null;
  }
}

const MAX_MESSAGE_LENGTH = 2000;
/** A server that asks for more is asked again anyway. */
const MAX_RETRY_AFTER_MS = 60_000;

/** What others have said, at a bounded length. */
export function cutMessage(text: string): string {
  return text.length > MAX_MESSAGE_LENGTH ? `${text.slice(0, MAX_MESSAGE_LENGTH - 1)}…` : text;
}

/** Too many requests, or a server (or what stands before it) in trouble. */
export function isTransientStatus(status: number): boolean {
  return status === 429 || status >= 500;
}

/** An answer that is not 2xx: Kubernetes' Status object, or whatever a proxy has put in its place. */
export function errorOfAnswer(answer: {
  readonly status: number;
  readonly body: string;
  readonly retryAfter: string | undefined;
  readonly method: string;
}): KubeError {
  const { status, body } = answer;
  const said = readStatus(body);
  const seconds = Number(answer.retryAfter ?? Number.NaN);
  return new KubeError({
    status,
    reason: said?.reason ?? `HTTP ${status}`,
    message: said?.message ?? `The Kubernetes API server answered HTTP ${status}: ${body.trim() || 'nothing more'}`,
    // Creations that count against the same quota at the same moment collide.
    retryable: isTransientStatus(status) || (answer.method === 'POST' && said?.reason === 'Conflict'),
    retryAfterMs: seconds >= 0 ? Math.min(seconds * 1000, MAX_RETRY_AFTER_MS) : null,
  });
}

/** The reason and the message of a Status object, and the kind and the name of what they are about; null when the text is none. */
export function readStatus(body: string): { reason?: string; message?: string; kind: unknown; name: unknown } | null {
  const status = parseObject(body);
  if (status?.kind !== 'Status') return null;
  const { reason, message } = status;
  const about = status.details as { kind?: unknown; name?: unknown } | null | undefined;
  return {
    ...{ kind: about?.kind, name: about?.name },
    ...(typeof reason === 'string' && reason !== '' ? { reason } : {}),
    ...(typeof message === 'string' && message !== '' ? { message } : {}),
  };
}

/** The JSON object that the text is; null when it is anything else. */
export function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}
