import type { Database } from '../database/database.ts';

/**
 * Is the build over, or run by a worker of another host? Only then may its processes here be ended by a worker that has
 * lost it: while it waits, the next claim on this host may go on with them.
 */
export async function isElsewhere(
  db: Database,
  { buildId, place }: { readonly buildId: string; readonly place: string },
): Promise<boolean> {
  const row = await db
    .selectFrom('build_audit as b')
    .leftJoin('workers as w', 'w.id', 'b.worker_id')
    .select(['b.status', 'w.host'])
    .where('b.id', '=', buildId)
    .executeTakeFirst();
  if (!row || row.status === 'PENDING') return !row;
  return row.status !== 'RUNNING' || row.host !== place;
}
