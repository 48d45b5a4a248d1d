import { cutMessage } from './kube-error.ts';

/**
 * - `refused`: the server or the container's runtime did not start the command; `message` is in its words.
 * - `gone`: there is no such pod.
 * - `cut`: the connection broke or fell silent; the command may run on.
 * - `timeout`: the deadline was over; the command may run on.
 * - `aborted`: the caller has given up; the command may run on.
 * - `protocol`: the server said what nobody understands.
 */
export type ExecErrorKind = 'refused' | 'cut' | 'timeout' | 'aborted' | 'protocol' | 'gone';

/** An exec that did not come to an exit code. */
export class ExecError extends Error {
  override readonly name = 'ExecError';
  readonly kind: ExecErrorKind;
  /** Of the answer to the upgrade; null when it was not refused by an answer. */
  readonly status: number | null;
  /** Another try may succeed. */
  readonly retryable: boolean;
  /** The connection stood, so the command may have run. */
  readonly started: boolean;

  constructor(fault: {
    readonly kind: ExecErrorKind;
    readonly message: string;
    readonly retryable: boolean;
    readonly started: boolean;
    readonly status?: number;
  }) {
    super(cutMessage(fault.message));
    this.kind = fault.kind;
    this.status = fault.status ?? null;
    this.retryable = fault.retryable;
    this.started = fault.started;
  }
}
