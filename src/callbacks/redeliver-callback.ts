import { sql } from 'kysely';
import { audit } from '../database/audit.ts';
import type { Database } from '../database/database.ts';
import { NotFoundError } from '../errors.ts';
import type { EventHub } from '../events/event-hub.ts';
import { DELIVERIES_TOPIC } from '../events/topics.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Delivery, toDelivery } from './delivery.ts';

export interface RedeliverDeps {
  readonly db: Database;
  readonly hub: EventHub;
}

/**
 * Starts a new round: due now, with all tries before it, under the same id. Whatever state the callback is in; a try
 * that is on its way no longer counts. Throws NotFoundError when the build or the task has no callback (yet).
 */
export async function redeliverCallback(
  deps: RedeliverDeps,
  input: { readonly buildId: string } | { readonly taskId: string },
  actor: string,
): Promise<Delivery> {
  const subject =
    'buildId' in input
      ? ({ column: 'build_id', type: 'build', id: input.buildId, action: 'redeliverCallback' } as const)
      : ({ column: 'task_id', type: 'task', id: input.taskId, action: 'redeliverTaskCallback' } as const);
  const row = await deps.db.transaction().execute(async (trx) => {
    const redelivered = await trx
      .updateTable('deliveries')
      .set({ status: 'PENDING', tries: 0, due_at: sql<Date>`now()`, lease_until: null, delivered_at: null })
      .where(subject.column, '=', subject.id)
      .returningAll()
      .executeTakeFirst();
    if (!redelivered) throw new NotFoundError(`callback of ${subject.type}`, toPublicId(subject.type, subject.id));
    await audit(trx, {
      actor,
      action: subject.action,
      subjectType: 'delivery',
      subjectId: redelivered.id,
      projectId: redelivered.project_id,
    });
    return redelivered;
  });
  deps.hub.announce(DELIVERIES_TOPIC);
  return toDelivery(row);
}
