/**
 * Why the place of a build is gone. `deleted`: somebody removed it. `evicted`: its machine wanted the room. `unreachable`: its
 * machine does not answer.
 */
export type LossReason = 'out_of_memory' | 'disk_full' | 'deadline' | 'evicted' | 'deleted' | 'unreachable';

/** The workspace of a build is gone with all that was in it; the message is for its user. */
export class WorkspaceLostError extends Error {
  override readonly name = 'WorkspaceLostError';
  readonly reason: LossReason;

  constructor(reason: LossReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
