/**
 * A schedule is due: its builds are started, its next time is counted and its next job is sent in one transaction, so a crash
 * neither loses nor doubles a run.
 */
import { sql } from 'kysely';
import { acceptBuild, KeyTaken } from '../builds/accept-build.ts';
import { refuseOverBudget } from '../builds/budget.ts';
import type { BuildSpec } from '../builds/build-spec.ts';
import { refuseOnFullDisk } from '../builds/full-disk.ts';
import { hashInput } from '../builds/input-hash.ts';
import { refuseUnreachable } from '../builds/refuse-unreachable.ts';
import { reportEnd } from '../builds/report-end.ts';
import { resolveSpec } from '../builds/resolve-spec.ts';
import type { StartBuildDeps } from '../builds/start-build.ts';
import type { DatabaseTransaction } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';
import { isTransient } from '../database/transient.ts';
import { BudgetExceededError, DiskFullError, SlipwayError } from '../errors.ts';
import { BUILDS_TOPIC, projectTopic, type Topic } from '../events/topics.ts';
import { findProject } from '../projects/project.ts';
import { failpoint } from '../std/failpoint.ts';
import { toPublicId } from '../std/public-id.ts';
import type { Logger } from '../telemetry/logger.ts';
import { lastTimes, nextTime } from './cron-times.ts';
import { clockOf, lockSchedule, MAX_REFUSALS, type Schedule } from './schedule.ts';

/** What comes later than this after its time was missed. */
const ON_TIME_MS = 5 * 60_000;
/** Of those that were missed. */
const MAX_CAUGHT_UP = 10;
/** After a fault that nobody has foreseen. */
const AGAIN_MS = 60_000;

export interface FireDeps extends StartBuildDeps {
  readonly logger: Logger;
}

interface Fired {
  readonly topics: readonly Topic[];
  readonly ended: readonly string[];
}

/** What came of one time. */
type Run =
  | ({ readonly kind: 'started'; readonly buildId: string } & Fired)
  | { readonly kind: 'skipped'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** Fires the schedule whose time has come first; false when there is none. Any number of processes may call it. */
export async function fireSchedule(deps: FireDeps): Promise<boolean> {
  let taken: string | null = null;
  try {
    const fired = await inTransaction(deps.db, async (trx) => {
      taken = await deps.queue.schedules.take(trx);
      return taken === null ? null : fire(trx, deps, taken);
    });
    if (!fired) return false;
    await failpoint('fire.committed');
    deps.hub.announce(...fired.topics);
    for (const id of fired.ended) await reportEnd(deps, id);
    return true;
  } catch (error) {
    if (taken === null || isTransient(error)) throw error;
    // Else it would be the first one again, and no other one would have its turn.
    deps.logger.error({ error, schedule: toPublicId('schedule', taken) }, 'a schedule could not be fired');
    await postpone(deps, taken);
    return true;
  }
}

async function fire(trx: DatabaseTransaction, deps: FireDeps, id: string): Promise<Fired> {
  const schedule = await lockSchedule(trx, id);
  const { rows } = await sql<{ now: Date }>`select date_trunc('milliseconds', clock_timestamp()) as now`.execute(trx);
  const now = rows[0]?.now ?? new Date();
  if (!schedule?.nextRunAt || schedule.nextRunAt > now) {
    // Its row was changed by somebody who knew nothing of the job.
    if (schedule?.nextRunAt) await deps.queue.schedules.put(trx, id, schedule.nextRunAt);
    else await deps.queue.schedules.remove(trx, id);
    return { topics: [], ended: [] };
  }
  const times = dueTimes(schedule, schedule.nextRunAt, now);
  const runs: Run[] = [];
  for (const at of times) {
    runs.push(await startRun(trx, deps, { schedule, at }));
    // The others would be refused, too.
    if (runs.at(-1)?.kind === 'refused') break;
  }
  if (times.length === 0) {
    const reason = `The run of ${schedule.nextRunAt.toISOString()} was missed, and is not caught up (${schedule.catchUp}).`;
    runs.push({ kind: 'skipped', reason });
  }
  await writeRuns(trx, deps, { schedule, runs, now });
  await failpoint('fire.written');
  const started = runs.filter((run) => run.kind === 'started');
  return {
    topics: started.flatMap(({ topics }) => [BUILDS_TOPIC, projectTopic(schedule.projectId), ...topics]),
    ended: started.flatMap(({ ended }) => ended),
  };
}

/** Of the times that have come since `due`: those that a build is started for, in their order. */
export function dueTimes(
  schedule: Pick<Schedule, 'cron' | 'timeZone' | 'catchUp' | 'catchUpSeconds'>,
  due: Date,
  now: Date,
): Date[] {
  const window = schedule.catchUp === 'NONE' ? ON_TIME_MS : Math.max(ON_TIME_MS, schedule.catchUpSeconds * 1_000);
  const max = schedule.catchUp === 'ALL' ? MAX_CAUGHT_UP : 1;
  const range = { from: Math.max(due.getTime(), now.getTime() - window), to: now.getTime() };
  // That it is due is what its row says, whatever its rule says by now.
  const first = range.from === due.getTime() ? [due.getTime()] : [];
  const times = new Set([...first, ...lastTimes(clockOf(schedule), range, max)]);
  return [...times].slice(-max).map((at) => new Date(at));
}

interface DueRun {
  readonly schedule: Schedule;
  readonly at: Date;
}

async function startRun(trx: DatabaseTransaction, deps: FireDeps, { schedule, at }: DueRun): Promise<Run> {
  const { id, projectId, overlap, spec: input } = schedule;
  if (overlap === 'SKIP_IF_RUNNING') {
    const running = await findUnfinished(trx, id);
    if (running !== null) return { kind: 'skipped', reason: `Build #${running} was waiting or running.` };
  }
  await sql`savepoint run`.execute(trx);
  try {
    const { build, topics, ended } = await acceptBuild(trx, {
      projectId,
      projectVersion: null,
      spec: await resolve(trx, deps, schedule),
      source: 'SCHEDULE',
      retryOf: null,
      idempotencyKey: `schedule:${toPublicId('schedule', id)}:${at.toISOString()}`,
      inputHash: hashInput(deps, input),
      actor: toPublicId('schedule', id),
      action: 'startBuild',
      scheduled: { scheduleId: id, at, cancelRunning: overlap === 'CANCEL_RUNNING' },
    });
    return { kind: 'started', buildId: build.id, topics, ended };
  } catch (error) {
    const known = error instanceof SlipwayError || error instanceof KeyTaken;
    if (!known) throw error;
    await sql`rollback to savepoint run`.execute(trx);
    if (error instanceof KeyTaken) return { kind: 'skipped', reason: 'A build was started for this time already.' };
    const passes = error instanceof BudgetExceededError || error instanceof DiskFullError;
    return { kind: passes ? 'skipped' : 'refused', reason: error.message };
  }
}

/** As startBuild does it, with what the project says now. */
async function resolve(trx: DatabaseTransaction, deps: FireDeps, { projectId, spec }: Schedule): Promise<BuildSpec> {
  const project = await findProject(trx, projectId);
  if (!project) throw new Error('the project of a schedule is gone');
  refuseUnreachable(deps.config, project, ['projectId']);
  await refuseOnFullDisk(deps.config);
  await refuseOverBudget(trx, projectId);
  return resolveSpec(deps, project, spec, ['spec']);
}

/** The number of a build of the schedule that waits or runs. */
async function findUnfinished(trx: DatabaseTransaction, scheduleId: string): Promise<number | null> {
  const row = await trx
    .selectFrom('build_audit')
    .select('number')
    .where('schedule_id', '=', scheduleId)
    .where('finished_at', 'is', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.number ?? null;
}

interface FiredRuns {
  readonly schedule: Schedule;
  readonly runs: readonly Run[];
  readonly now: Date;
}

async function writeRuns(trx: DatabaseTransaction, deps: FireDeps, { schedule, runs, now }: FiredRuns): Promise<void> {
  const { id, projectId } = schedule;
  const started = runs.findLast((run) => run.kind === 'started');
  const skipped = runs.findLast((run) => run.kind === 'skipped');
  const refused = runs.findLast((run) => run.kind === 'refused');
  const refusals = refused ? schedule.refusals + 1 : started ? 0 : schedule.refusals;
  const archived = refused && (await findProject(trx, projectId))?.status === 'ARCHIVED';
  const paused = archived
    ? 'Its project is archived.'
    : refusals >= MAX_REFUSALS
      ? `It was refused ${refusals} times in a row: ${refused?.reason}`
      : null;
  const nextRunAt = paused === null ? new Date(nextTime(clockOf(schedule), now.getTime())) : null;
  await trx
    .updateTable('schedules')
    .set({ next_run_at: nextRunAt, refusals })
    .$if(started !== undefined, (q) =>
      q.set({ last_run_at: now, last_build_id: started?.buildId ?? null, last_error: null }),
    )
    .$if(skipped !== undefined, (q) => q.set({ last_skipped_at: now, last_skipped_reason: skipped?.reason ?? null }))
    .$if(refused !== undefined, (q) => q.set({ last_error: refused?.reason ?? null }))
    .$if(paused !== null, (q) => q.set({ paused_at: now, paused_reason: paused }))
    .where('id', '=', id)
    .execute();
  if (nextRunAt) await deps.queue.schedules.put(trx, id, nextRunAt);
  else await deps.queue.schedules.remove(trx, id);
}

/** Its time stays: what it misses meanwhile is told. */
async function postpone({ db, queue }: FireDeps, id: string): Promise<void> {
  await inTransaction(db, async (trx) => {
    await queue.schedules.lock(trx, id);
    const schedule = await lockSchedule(trx, id);
    if (!schedule?.nextRunAt) return;
    const error = 'An internal error: the log of the server has it.';
    await trx.updateTable('schedules').set({ last_error: error }).where('id', '=', id).execute();
    await queue.schedules.put(trx, id, new Date(Date.now() + AGAIN_MS));
  });
}
