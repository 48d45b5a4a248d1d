/** Removes what builds leave on this machine when nobody could tidy up after them. */
import { sql } from 'kysely';
import type { RunBuildDeps } from '../builds/running-build.ts';
import { hostKey } from './registry.ts';

/** How long the agent's home of a finished build stays, so that its session can be resumed. */
const KEEP_SESSIONS_DAYS = 7;
/** Workspaces removed in one pass. */
const BATCH = 500;

type JanitorDeps = Pick<RunBuildDeps, 'db' | 'runtime' | 'config' | 'logger'>;

/** Is a worker of this host running the build? Then its processes and its workspace are in use. */
export async function ownsBuild(deps: Pick<JanitorDeps, 'db' | 'config'>, buildId: string): Promise<boolean> {
  const row = await deps.db
    .selectFrom('build_audit as b')
    .innerJoin('workers as w', 'w.id', 'b.worker_id')
    .select('w.host')
    .where('b.id', '=', buildId)
    .where('b.status', '=', 'RUNNING')
    .executeTakeFirst();
  return row?.host === hostKey(deps.config.dataFolder);
}

/** Keeps the partitions ahead of time, ends what is left of builds that are over, removes their workspaces. Safe to repeat. */
export async function cleanWorkspaces(deps: JanitorDeps): Promise<void> {
  await sql`select ensure_build_partitions(4)`.execute(deps.db);
  const here = await deps.runtime.list();
  const ids = here.map(({ buildId }) => buildId);
  const over = await sql<{ id: string; expired: boolean }>`
    select here.id, coalesce(b.finished_at < now() - make_interval(days => ${KEEP_SESSIONS_DAYS}), true) as expired
      from unnest(${ids}::uuid[]) as here (id)
      left join build_audit b on b.id = here.id
     where b.id is null or b.finished_at is not null`.execute(deps.db);
  const expired = new Map(over.rows.map((row) => [row.id, row.expired]));
  const work = here.filter(({ buildId, closed }) => expired.get(buildId) === true || (expired.has(buildId) && !closed));
  for (const { buildId } of work.slice(0, BATCH)) {
    await deps.runtime.sweep(buildId);
    await (await deps.runtime.open(buildId)).close({ keepHome: expired.get(buildId) === false });
  }
}
