/** What must be looked after once in a while: partitions, jobs, and what builds leave on this machine. */
import { sql } from 'kysely';
import { validate } from 'uuid';
import { HOME_SECRETS } from '../builds/npm-config.ts';
import { forgetEndedPauses } from '../builds/quota-pause.ts';
import { restoreQueued } from '../builds/restore-queued.ts';
import type { RunBuildDeps } from '../builds/running-build.ts';
import { forgetEndedGrace } from '../credentials/signing-secrets.ts';
import { ensurePartitions } from '../database/partitions.ts';
import { dropOld } from '../database/retention.ts';
import { failpoint } from '../std/failpoint.ts';
import { isElsewhere } from './is-elsewhere.ts';

/** How long the agent's home of a finished build stays, so that its session can be resumed. */
const KEEP_SESSIONS_DAYS = 7;
/** Workspaces removed in one pass. */
const BATCH = 500;

type JanitorDeps = Pick<RunBuildDeps, 'db' | 'hub' | 'queue' | 'runtime' | 'config' | 'logger'>;

/**
 * What a workspace here is to its build. `ended`: the home stays, so that the session can be resumed; `expired`: all of
 * it may go; `elsewhere`: a worker of another host has begun anew, and what this host has is in nobody's hands.
 */
type Remains = 'ended' | 'expired' | 'elsewhere';

interface Left {
  readonly remains: Remains;
  /** Of a build that runs elsewhere: its last attempt that may have been here. */
  readonly attemptNo: number | null;
}

/**
 * Keeps the partitions ahead of time, drops what is too old, queues builds that the queue has lost. What fails is logged and keeps nothing else from being done. Safe to repeat.
 */
export async function keepHouse(deps: JanitorDeps): Promise<void> {
  await failpoint('clean.begin');
  await attempt(deps, 'partitions', async () => {
    for (const problem of await ensurePartitions(deps.db)) deps.logger.warn({ problem }, 'a partition is missing');
  });
  await attempt(deps, 'retention', async () => {
    const { dropped, problems } = await dropOld(deps.db, deps.config);
    if (dropped.length > 0) deps.logger.info({ dropped }, 'events and logs of old builds were dropped');
    for (const problem of problems) deps.logger.warn({ problem }, 'old events or logs could not be dropped');
  });
  await attempt(deps, 'callback secrets', () => forgetEndedGrace(deps.db));
  await attempt(deps, 'quota pauses', () => forgetEndedPauses(deps.db));
  await attempt(deps, 'jobs', async () => {
    const builds = await restoreQueued(deps);
    if (builds > 0) deps.logger.warn({ builds }, 'waiting builds were not in the queue; they are queued again');
  });
}

/** Ends and removes what builds have left in this place, and tends what it keeps ready. Safe to repeat. */
export async function keepWorkspaces(deps: JanitorDeps): Promise<void> {
  await attempt(deps, 'runtime', () => deps.runtime.tend());
  await attempt(deps, 'workspaces', () => sweepWorkspaces(deps));
}

async function attempt(deps: JanitorDeps, what: string, work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => deps.logger.warn({ error, what }, 'could not be looked after'));
}

async function sweepWorkspaces(deps: JanitorDeps): Promise<void> {
  const here = (await deps.runtime.list()).filter(({ buildId }) => validate(buildId));
  const remains = await findRemains(
    deps,
    here.map(({ buildId }) => buildId),
  );
  const work = here.filter(
    ({ buildId, closed }) => remains.has(buildId) && !(closed && remains.get(buildId)?.remains === 'ended'),
  );
  for (const { buildId } of work.slice(0, BATCH)) {
    await attempt(deps, `workspace ${buildId}`, () => removeRemains(deps, buildId, remains.get(buildId)));
  }
}

/**
 * A build that waits is not among them: a worker of this host may go on with what is here. Nor is a task that is not over:
 * its next attempt here ends what is left of the one before.
 */
async function findRemains(deps: JanitorDeps, buildIds: readonly string[]): Promise<ReadonlyMap<string, Left>> {
  // The commit of a push that was intended may be nowhere but here.
  const { rows } = await sql<Left & { id: string }>`
    select here.id,
           case when b.status = 'RUNNING' then 'elsewhere'
                when b.finished_at >= now() - make_interval(days => ${KEEP_SESSIONS_DAYS}) then 'ended'
                else 'expired' end as remains,
           case when b.status = 'RUNNING' then b.attempt_no - 1 end as "attemptNo"
      from unnest(${buildIds}::uuid[]) as here (id)
      left join build_audit b on b.id = here.id
      left join workers w on w.id = b.worker_id
     where (b.id is null and not exists (select from tasks t where t.id = here.id and t.finished_at is null))
        or b.finished_at is not null
        or (b.status = 'RUNNING' and w.host <> ${deps.runtime.place} and b.push_intent_sha is null)
  `.execute(deps.db);
  return new Map(rows.map((row) => [row.id, row]));
}

async function removeRemains(deps: JanitorDeps, buildId: string, left: Left | undefined): Promise<void> {
  const remains = left?.remains;
  // Another address of the same cluster is another place, too: what its attempt works in is here as well.
  const attemptNo = left?.attemptNo ?? undefined;
  // An end is for good; a build that runs elsewhere may have come back while others were removed.
  const mayGo = async () => remains !== 'elsewhere' || (await isElsewhere(deps, buildId));
  if (!(await mayGo())) return;
  if (!deps.runtime.closeEnds) {
    await deps.runtime.sweep(buildId, attemptNo);
    if (!(await mayGo())) return;
  }
  await failpoint('clean.removing');
  await deps.runtime.close(buildId, {
    keepHome: remains === 'ended',
    forget: HOME_SECRETS,
    ...(attemptNo === undefined ? {} : { attemptNo }),
  });
}
