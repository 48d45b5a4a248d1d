/** Reports of ended builds and tasks: the outbox against what receivers were sent. */
import { messageId } from '../../src/callbacks/delivery.ts';
import type { Database } from '../../src/database/database.ts';
import type { DeliveryRecord } from './history.ts';
import type { Violation } from './promises.ts';

/** A build or a task. */
export interface Reported {
  readonly id: string;
  readonly isTask: boolean;
  readonly isOver: boolean;
  readonly callbackUrl: string | null;
}

export async function judgeCallbacks(
  db: Database,
  { deliveries, subjects }: { readonly deliveries: readonly DeliveryRecord[]; readonly subjects: readonly Reported[] },
): Promise<Violation[]> {
  const rows = await db.selectFrom('deliveries').select(['id', 'build_id', 'task_id', 'status']).execute();
  const received = Map.groupBy(deliveries, ({ subjectId }) => subjectId);
  const outbox = Map.groupBy(rows, (row) => row.build_id ?? row.task_id ?? '');
  const violations: Violation[] = [];
  for (const { id: subject, isTask, isOver, callbackUrl } of subjects) {
    const whose = isTask ? { taskId: subject } : { buildId: subject };
    const wrong = (detail: string) => violations.push({ promise: 'callbacks', ...whose, detail });
    const own = outbox.get(subject) ?? [];
    const calls = received.get(subject) ?? [];
    const wanted = isOver && callbackUrl !== null ? 1 : 0;
    if (own.length !== wanted) wrong(`${own.length} deliveries, where ${wanted} must be`);
    if (calls.some(({ verified }) => !verified)) wrong('a callback without a right signature');
    const ids = new Set(own.map(({ id }) => messageId(id)));
    const strange = calls.find(({ webhookId }) => !ids.has(webhookId));
    if (strange) wrong(`the webhook-id ${strange.webhookId}, where only ${[...ids]} may be`);
    for (const { id, status } of own) {
      const accepted = calls.some((call) => call.accepted && call.webhookId === messageId(id));
      if (status !== 'DELIVERED') wrong(`its delivery is ${status}`);
      else if (!accepted) wrong('its delivery is DELIVERED, and no receiver has accepted it');
    }
  }
  const known = new Set(subjects.map(({ id }) => id));
  for (const subject of received.keys()) {
    if (!known.has(subject))
      violations.push({ promise: 'callbacks', detail: `a callback of ${subject}: it is not there` });
  }
  return violations;
}
