/** The project's settings of the queue, where the queue looks for them: see `migrations/0016_queue.sql`. */
import { sql } from 'kysely';
import type { DatabaseTransaction } from '../database/database.ts';
import type { ProjectSettings } from './project.ts';

/** Nobody claims from here to the end of the transaction, so this is its last write. */
export async function configureQueue(
  trx: DatabaseTransaction,
  projectId: string,
  settings: ProjectSettings['queue'],
): Promise<void> {
  const { weight, maxRunning, maxRunningPerKey } = settings ?? {};
  await sql`
    select queue_configure(${projectId}, ${weight ?? 1}, ${maxRunning ?? null}, ${maxRunningPerKey ?? 1})`.execute(trx);
}
