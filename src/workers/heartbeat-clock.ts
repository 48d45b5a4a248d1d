/** What a worker may believe of its own leases and of those of others, by what its heartbeats were answered. */
import { CUT_OFF_SHARE, HEARTBEAT_EVERY_MS, LEASE_SECONDS } from '../builds/lease.ts';

/** Longer than this without an answer, and others may have taken us for dead. */
const MAX_GAP_MS = 2 * HEARTBEAT_EVERY_MS;

/** A Postgres that is not there, starts or stops: it renews no lease, and gives none to anybody else. */
const CLOSED = new Set(['ECONNREFUSED', '57P01', '57P02', '57P03']);

/**
 * Counts by the monotonic clock, which nobody sets. The clock of the day is looked at beside it for one thing only: the
 * other one may stand still while the machine sleeps.
 */
export class HeartbeatClock {
  readonly #leaseMs: number;
  /** When the last heartbeat was sent that was answered, or the database was last found closed. */
  #sureAt = performance.now();
  #answeredAt = performance.now();
  #answeredOn = Date.now();
  #answeringSince: number | null = performance.now();

  /** `leaseSeconds`: how long a lease of ours holds. */
  constructor(leaseSeconds = LEASE_SECONDS) {
    this.#leaseMs = leaseSeconds * 1000;
  }

  /** `sentAt`: of `performance.now()`. The leases began no sooner. */
  answered(sentAt: number): void {
    // After an outage of the database, and after a pause of ours, leases have run out although their workers live.
    if (this.#gapMs > MAX_GAP_MS) this.#answeringSince = null;
    this.#sureAt = sentAt;
    this.#answeredAt = performance.now();
    this.#answeredOn = Date.now();
    this.#answeringSince ??= performance.now();
  }

  /** One that is answered again soon has kept nobody else from renewing his leases: see `answered`. */
  failed(error: unknown): void {
    const { code } = error as { code?: unknown };
    if (typeof code === 'string' && CLOSED.has(code)) this.#sureAt = performance.now();
  }

  /** Nobody else can have been given what this worker runs. */
  get holdsLeases(): boolean {
    return performance.now() - this.#sureAt < this.#leaseMs;
  }

  /** The leases end soon, and there is no sign that they will be renewed. */
  get isCutOff(): boolean {
    return performance.now() - this.#sureAt >= this.#leaseMs * CUT_OFF_SHARE;
  }

  /** Whoever was away himself cannot tell who else is. */
  get mayJudgeOthers(): boolean {
    const since = this.#answeringSince;
    return since !== null && this.isAnswered && performance.now() - since >= LEASE_SECONDS * 1000;
  }

  /** Somebody has answered lately. */
  get isAnswered(): boolean {
    return this.#gapMs <= MAX_GAP_MS;
  }

  get #gapMs(): number {
    return Math.max(performance.now() - this.#answeredAt, Date.now() - this.#answeredOn);
  }
}
