/** What must be looked after once in a while: partitions, jobs, and what builds leave on this machine. */
import { validate } from 'uuid';
import { HOME_SECRETS } from '../builds/npm-config.ts';
import type { LedgerDeps } from '../builds/postgres-ledger.ts';
import { forgetEndedPauses } from '../builds/quota-pause.ts';
import { restoreQueued } from '../builds/restore-queued.ts';
import type { RunBuildDeps } from '../builds/running-build.ts';
import { forgetEndedGrace } from '../credentials/signing-secrets.ts';
import { ensurePartitions } from '../database/partitions.ts';
import { dropOld, dropOldTasks, forgetUnusedEnrolments } from '../database/retention.ts';
import { failpoint } from '../std/failpoint.ts';
import type { Coordinator, Left } from './coordinator.ts';

/** Workspaces removed in one pass. */
const BATCH = 500;

/** `ends`: nothing more is begun from then on; whoever comes next does it. */
interface Ending {
  readonly ends?: AbortSignal;
}

type HouseDeps = LedgerDeps & Pick<RunBuildDeps, 'config' | 'logger'> & Ending;

interface WorkspacesDeps extends Pick<RunBuildDeps, 'runtime' | 'logger'>, Ending {
  readonly coordinator: Pick<Coordinator, 'findRemains' | 'isElsewhere'>;
}

/**
 * Keeps the partitions ahead of time, drops what is too old, queues builds that the queue has lost. What fails is logged and keeps nothing else from being done. Safe to repeat.
 */
export async function keepHouse(deps: HouseDeps): Promise<void> {
  await failpoint('clean.begin');
  await attempt(deps, 'partitions', async () => {
    for (const problem of await ensurePartitions(deps.db)) deps.logger.warn({ problem }, 'a partition is missing');
  });
  await attempt(deps, 'retention', async () => {
    const { dropped, problems } = await dropOld(deps.db, deps.config);
    if (dropped.length > 0) deps.logger.info({ dropped }, 'events and logs of old builds were dropped');
    for (const problem of problems) deps.logger.warn({ problem }, 'old events or logs could not be dropped');
  });
  await attempt(deps, 'old tasks', async () => {
    const { tasks } = await dropOldTasks(deps.db, deps.config);
    if (tasks > 0) deps.logger.info({ tasks }, 'old tasks were dropped');
  });
  await attempt(deps, 'enrolments', () => forgetUnusedEnrolments(deps.db));
  await attempt(deps, 'callback secrets', () => forgetEndedGrace(deps.db));
  await attempt(deps, 'quota pauses', () => forgetEndedPauses(deps.db));
  await attempt(deps, 'queue', () => deps.queue.tidy(deps.db));
  await attempt(deps, 'lost places in the queue', async () => {
    const builds = await restoreQueued(deps);
    if (builds > 0) deps.logger.warn({ builds }, 'waiting builds were not in the queue; they are queued again');
  });
}

/** Ends and removes what builds have left in this place, and tends what it keeps ready. Safe to repeat. */
export async function keepWorkspaces(deps: WorkspacesDeps): Promise<void> {
  await attempt(deps, 'runtime', () => deps.runtime.tend());
  await attempt(deps, 'workspaces', () => sweepWorkspaces(deps));
}

async function attempt(
  deps: Pick<HouseDeps, 'logger'> & Ending,
  what: string,
  work: () => Promise<void>,
): Promise<void> {
  if (deps.ends?.aborted) return;
  await work().catch((error: unknown) => deps.logger.warn({ error, what }, 'could not be looked after'));
}

async function sweepWorkspaces(deps: WorkspacesDeps): Promise<void> {
  const here = (await deps.runtime.list()).filter(({ buildId }) => validate(buildId));
  if (here.length === 0) return;
  const found = await deps.coordinator.findRemains(here.map(({ buildId }) => buildId));
  const remains = new Map(found.map((left) => [left.id, left]));
  const work = here.filter(
    ({ buildId, closed }) => remains.has(buildId) && !(closed && remains.get(buildId)?.remains === 'ended'),
  );
  for (const { buildId } of work.slice(0, BATCH)) {
    await attempt(deps, `workspace ${buildId}`, () => removeRemains(deps, buildId, remains.get(buildId)));
  }
}

async function removeRemains(deps: WorkspacesDeps, buildId: string, left: Left | undefined): Promise<void> {
  const remains = left?.remains;
  // Another address of the same cluster is another place, too: what its attempt works in is here as well.
  const attemptNo = left?.attemptNo ?? undefined;
  // An end is for good; a build that runs elsewhere may have come back while others were removed.
  const mayGo = async () => remains !== 'elsewhere' || (await deps.coordinator.isElsewhere(buildId));
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
