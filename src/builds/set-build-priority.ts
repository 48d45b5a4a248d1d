/** A waiting build goes before others, or lets them pass. */
import { audit } from '../database/audit.ts';
import { inTransaction } from '../database/transaction.ts';
import { BuildStateError, InvalidInputError, NotFoundError } from '../errors.ts';
import { projectTopic, QUEUE_TOPIC } from '../events/topics.ts';
import { toPublicId } from '../std/public-id.ts';
import { type Build, toBuild } from './build.ts';
import { priority } from './build-spec.ts';
import type { LedgerDeps } from './postgres-ledger.ts';

export interface SetBuildPriorityInput {
  readonly id: string;
  readonly priority: number;
}

/** Returns the build as it is now. Throws InvalidInputError, NotFoundError, or BuildStateError unless it waits. */
export async function setBuildPriority(
  { db, queue, hub }: LedgerDeps,
  input: SetBuildPriorityInput,
  actor: string,
): Promise<Build> {
  const parsed = priority.safeParse(input.priority);
  if (!parsed.success) {
    throw new InvalidInputError([{ path: ['input', 'priority'], message: 'must be a whole number from -100 to 100' }]);
  }
  const build = await inTransaction(db, async (trx) => {
    const row = await trx
      .selectFrom('build_audit')
      .selectAll()
      .where('id', '=', input.id)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (!row) throw new NotFoundError('build', toPublicId('build', input.id));
    if (row.status !== 'PENDING') {
      throw new BuildStateError(
        row.status,
        `The build is ${row.status}: only one that waits has a place in the queue.`,
      );
    }
    const from = row.priority;
    if (from === parsed.data) return toBuild(row);
    await trx.updateTable('build_audit').set({ priority: parsed.data }).where('id', '=', row.id).execute();
    await queue.setPriority(trx, row.id, parsed.data);
    await audit(trx, {
      actor,
      action: 'setBuildPriority',
      subjectType: 'build',
      subjectId: row.id,
      projectId: row.project_id,
      detail: { from, to: parsed.data },
    });
    return toBuild({ ...row, priority: parsed.data });
  });
  hub.announce(QUEUE_TOPIC, projectTopic(build.projectId));
  return build;
}
