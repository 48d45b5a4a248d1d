/** Writes down how a try went, and decides what comes next. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { ClaimedDelivery } from './claim-deliveries.ts';
import type { DeliveryStatus } from './delivery.ts';
import type { CallbackAnswer } from './send-callback.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The pause after the first failed try, the second, …; when there is none left, the delivery has failed. */
export const RETRY_DELAYS_MS: readonly number[] = [
  ...[5 * SECOND, 5 * MINUTE, 30 * MINUTE],
  ...[2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR],
];
/** Pauses differ by up to a tenth, so that what failed together does not come back together. */
const JITTER = 0.1;
/** Rows of one delivery. */
const MAX_ATTEMPTS_KEPT = 50;
const GONE = 410;

export interface NextStep {
  readonly status: DeliveryStatus;
  /** From now on; null unless it stays PENDING. */
  readonly dueInMs: number | null;
}

/** `tries` counts this one. `random` gives a number from 0 up to 1. */
export function nextStep(tries: number, answer: CallbackAnswer, random: () => number = Math.random): NextStep {
  if (answer.error === null) return { status: 'DELIVERED', dueInMs: null };
  const pause = RETRY_DELAYS_MS[tries - 1];
  if (answer.statusCode === GONE || pause === undefined) return { status: 'FAILED', dueInMs: null };
  const spread = pause * (1 - JITTER + 2 * JITTER * random());
  // What the receiver asks for is the least that it gets; it cannot make the tries run out any faster.
  return { status: 'PENDING', dueInMs: Math.round(Math.max(spread, answer.retryAfterMs ?? 0)) };
}

export interface TriedDelivery {
  readonly delivery: ClaimedDelivery;
  readonly answer: CallbackAnswer;
}

/**
 * The attempt and the delivery's new state in one transaction. Null, and nothing written, when the delivery is no longer
 * the caller's: its lease ran out and another process has it, or somebody asked for a redelivery meanwhile.
 */
export async function recordAttempt(db: Database, { delivery, answer }: TriedDelivery): Promise<NextStep | null> {
  const next = nextStep(delivery.tries + 1, answer);
  return await db.transaction().execute(async (trx) => {
    const held = await trx
      .updateTable('deliveries')
      .set({
        status: next.status,
        tries: delivery.tries + 1,
        due_at: next.dueInMs === null ? null : sql<Date>`now() + ${next.dueInMs} * interval '1 millisecond'`,
        delivered_at: next.status === 'DELIVERED' ? sql<Date>`now()` : null,
        lease_until: null,
      })
      .where('id', '=', delivery.id)
      .where('lease_until', '=', delivery.leaseUntil)
      .returning('id')
      .executeTakeFirst();
    if (!held) return null;
    const { attempt_no: attemptNo } = await trx
      .insertInto('delivery_attempts')
      .values(({ selectFrom }) => ({
        delivery_id: delivery.id,
        attempt_no: selectFrom('delivery_attempts')
          .select(sql<number>`coalesce(max(attempt_no), 0) + 1`.as('next'))
          .where('delivery_id', '=', delivery.id),
        at: delivery.claimedAt,
        duration_ms: answer.durationMs,
        status_code: answer.statusCode,
        error: answer.error,
        response: answer.response,
      }))
      .returning('attempt_no')
      .executeTakeFirstOrThrow();
    await trx
      .deleteFrom('delivery_attempts')
      .where('delivery_id', '=', delivery.id)
      .where('attempt_no', '<=', attemptNo - MAX_ATTEMPTS_KEPT)
      .execute();
    return next;
  });
}
