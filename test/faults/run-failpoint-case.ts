/** One case of the matrix: a process comes by the point, the fault happens, and everything is judged at the end. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { LEASE_SECONDS, RESCUE_EVERY_MS } from '../../src/builds/lease.ts';
import { FAILPOINTS } from '../../src/std/failpoint.ts';
import type { GitServer } from '../support/git-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { type FailpointCase, nameOf, pointsOf } from './failpoint-cases.ts';
import { FAR, openRig, type Rig, unlessTransient } from './failpoint-rig.ts';
import { ALONE, LEAVING, play, type Stage, setUp, TASKS_ONLY } from './failpoint-stage.ts';
import { judgeAnswers, judgeRuns, TASK_LEASE_SECONDS } from './failpoint-tasks.ts';
import { judge, type Verdict } from './oracle.ts';

/** How long a worker stands still: others have taken its builds by then. */
const pauseMs = (leaseSeconds: number) => leaseSeconds * 1000 + RESCUE_EVERY_MS + 5_000;
/** How long a server stands still: its clients have turned to another one by then. */
const SERVER_PAUSE_MS = 8_000;
/** The look for litter comes once a minute. */
const HIT_DEADLINE_MS = 100_000;
const END_DEADLINE_MS = 120_000;
/** A promise with room for a machine that runs ten of these at a time: lease, look for lost builds, claim. */
const PATIENCE_MS = LEASE_SECONDS * 1000 + RESCUE_EVERY_MS + 2_000 + 15_000;
/** A delivery's lease is a minute. */
const DELIVERY_DEADLINE_MS = 120_000;

export interface CaseReport {
  readonly verdict: Verdict;
  /** What the oracle does not ask: how the process ended, how often agents ran. */
  readonly problems: readonly string[];
}

export async function runFailpointCase(entry: FailpointCase, git: GitServer, gitPassword: string): Promise<CaseReport> {
  await using rig = await openRig({ git, gitPassword, isAlone: ALONE.has(entry.scenario) });
  const stage = await setUp(rig, entry);
  const { armed, bot } = stage;
  try {
    const played = play(stage);
    played.catch(() => {});
    await isHit(stage);
    if (entry.scenario === 'cancel at point') await Promise.all(bot.builds.map((build) => bot.cancelBuild(build)));
    await happen(stage);
    const faultEndedAt = new Date();
    await played;
    if (entry.scenario === 'litter') await bot.startBuild('quick');
    await settle(stage);
    const exitCode = await armed.ended;
    const { recorder, remotes, folder, database } = rig;
    const secrets = [...rig.secrets, ...rig.callbackSecrets.values()];
    const evidence = { db: database.db, history: recorder.history, remotes, secrets, folders: [folder] };
    const problems = [
      ...judgeExit(entry, exitCode),
      ...judgeAgents(stage),
      ...(await judgeOutcomes(stage)),
      ...(await judgeAnswers(rig)),
      ...(await judgeRuns(database)),
      ...(entry.scenario === 'superseding' ? await judgeSuperseded(stage) : []),
    ];
    return { verdict: await judge({ ...evidence, faultEndedAt, patienceMs: PATIENCE_MS }), problems };
  } catch (error) {
    const seen = bot.builds.map((build) => `${build.id}: ${build.seen.map((types) => types.join(' ')).join(' | ')}`);
    throw new Error([String(error), nameOf(entry), ...seen, armed.stderr].join('\n'), { cause: error });
  }
}

async function isHit({ entry, armed }: Stage): Promise<void> {
  const lines = pointsOf(entry).map((point) => `failpoint ${point}: ${kindOf(entry)}\n`);
  const areThere = () => lines.every((line) => armed.stderr.includes(line));
  const what = `the fault of ${nameOf(entry)}`;
  const isGone = () => armed.child.exitCode !== null || armed.child.signalCode !== null;
  const isOver = () => areThere() || isGone();
  await waitFor(isOver, { deadlineMs: HIT_DEADLINE_MS, everyMs: 20, what });
  // What it said last may still be on its way to us.
  if (isGone()) await armed.ended;
  if (!areThere()) throw new Error(`${what} did not come true: the process has ended`);
}

/** The fault, from its beginning to its end, and who goes on meanwhile. */
async function happen(stage: Stage): Promise<void> {
  const { entry, rig, armed, port } = stage;
  const kind = kindOf(entry);
  const isGone = kind === 'kill';
  if (isGone) await armed.ended;
  // It has said that it will: on a busy machine it may be woken before it sleeps, and sleeps for ever then.
  if (kind === 'pause')
    await waitFor(() => isStopped(armed.pid), { deadlineMs: 60_000, everyMs: 20, what: 'its sleep' });
  if (ALONE.has(entry.scenario)) {
    await rig.openApi();
    await rig.openWorker('home');
  }
  if (entry.host === 'server') {
    if (isGone) await rig.startProcess('server', { folder: 'armed', port });
    if (kind === 'pause') await delay(SERVER_PAUSE_MS);
  } else {
    const folder = isGone && entry.successor === 'same folder' ? 'armed' : 'elsewhere';
    const isAway = isGone || kind === 'pause' || kind === 'spin' || LEAVING.has(entry.scenario);
    if (isAway) await openSuccessor(stage, folder);
    if (kind === 'pause') await waitToWake(stage);
  }
  if (kind === 'pause') armed.child.kill('SIGCONT');
  if (kind === 'delay' || kind === 'spin') await delay(Number(entry.fault.split(':')[1]));
}

/** True, too, where nobody can tell. */
async function isStopped(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat === '' || stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}

/** Of a remote worker that is gone for good, every other time one beside the database. */
async function openSuccessor({ entry, rig }: Stage, folder: string): Promise<void> {
  if (entry.host !== 'remote') return rig.openWorker(folder);
  const isNear = folder === 'elsewhere' && FAILPOINTS.indexOf(entry.point) % 4 === 1;
  if (isNear) await rig.openWorker(folder, FAR);
  else await rig.startProcess('remote', { folder });
}

async function waitToWake({ entry, bot, rig }: Stage): Promise<void> {
  if (entry.point.startsWith('deliver.')) return untilDelivered(rig);
  const isTask = TASKS_ONLY.has(entry.scenario);
  const longest = pauseMs(isTask && entry.host !== 'remote' ? TASK_LEASE_SECONDS : LEASE_SECONDS);
  const over = performance.now() + longest;
  const again = rig.database.db.selectFrom('tasks').select('id').where('attempt_no', '>', 1).limit(1);
  const isTaken = async () =>
    isTask
      ? ((await again.execute().catch(unlessTransient))?.length ?? 0) > 0
      : bot.builds.some(({ seen }) => (seen[0]?.filter((type) => type === 'STARTED').length ?? 0) > 1);
  const isTime = async () => performance.now() > over || (entry.wake === 'takeover' && (await isTaken()));
  await waitFor(isTime, { deadlineMs: longest + 5_000, everyMs: 50, what: 'the end of the pause' });
}

/** Everything has come to its end, and nobody is left who could still do something. */
async function settle({ bot, rig, over, working }: Stage): Promise<void> {
  const { db } = rig.database;
  const left = db.selectFrom('tasks').select('id').where('finished_at', 'is', null).limit(1);
  const areOver = async () => (await left.execute().catch(unlessTransient))?.length === 0;
  await waitFor(areOver, { deadlineMs: END_DEADLINE_MS, everyMs: 100, what: 'the end of all tasks' });
  over.abort();
  await Promise.all(working);
  let open = bot.builds.length;
  const close = () => {
    open -= 1;
  };
  // Of a subscriber that has given up there is no end: then this fails by its deadline.
  for (const { ended } of bot.builds) ended.then(close, () => {});
  await waitFor(() => open === 0, { deadlineMs: END_DEADLINE_MS, everyMs: 50, what: 'the end of all builds' });
  await untilDelivered(rig);
  await rig.shutDown();
}

async function untilDelivered({ database }: Rig): Promise<void> {
  const areDelivered = async () => {
    const rows = await database.db.selectFrom('deliveries').select('status').execute().catch(unlessTransient);
    return rows?.every(({ status }) => status === 'DELIVERED');
  };
  await waitFor(areDelivered, {
    deadlineMs: DELIVERY_DEADLINE_MS,
    everyMs: 300,
    what: 'the delivery of all callbacks',
  });
}

/** A process that was not killed ends as it should when it is told to; a fault in the middle of that excuses it. */
function judgeExit({ fault, scenario }: FailpointCase, exitCode: number | NodeJS.Signals | null): string[] {
  const expected = fault === 'kill' ? 'SIGKILL' : 0;
  if (exitCode === expected || (LEAVING.has(scenario) && fault === 'fail')) return [];
  return [`the process ended with ${exitCode} instead of ${expected}`];
}

/** Whoever comes after a dead worker on the same machine goes on with its agents, and starts none again. */
function judgeAgents({ entry, bot }: Stage): string[] {
  const first = FAILPOINTS.indexOf('agent.spawned');
  const isLater = FAILPOINTS.indexOf(entry.point) >= first && entry.scenario === 'quick';
  if (entry.host === 'server' || entry.fault !== 'kill' || entry.successor === 'elsewhere' || !isLater) return [];
  return bot.builds.flatMap(({ id, seen }) => {
    const starts = seen[0]?.filter((type) => type === 'AGENT_STARTED').length ?? 0;
    return starts === 1 ? [] : [`the agent of ${id} was started ${starts} times`];
  });
}

/**
 * A fault is no reason for a build to fail, with one exception: a mistake of ours before the commit was intended ends
 * one build. A retry finds its changes made.
 */
async function judgeOutcomes({ entry, rig, bot }: Stage): Promise<string[]> {
  const { fault, host, scenario } = entry;
  const isEnd = (point: string) => /^(prepare|agent|turn|quota|ledger|publish.committed)/.test(point);
  const ends = host !== 'server' && fault === 'fail' ? pointsOf(entry).filter(isEnd).length : 0;
  const allowed = new Set<string | null>([
    ...(ends > 0 ? ['INTERNAL'] : []),
    ...(scenario === 'retry' ? ['NO_CHANGES'] : []),
    ...(scenario === 'failing' ? ['AGENT_ERROR'] : []),
  ]);
  const query = rig.database.db.selectFrom('build_audit').select(['id', 'status']);
  const text = (member: string) => sql<string | null>`failure ->> ${member}`;
  const rows = await query.select([text('reason').as('reason'), text('message').as('message')]).execute();
  const failed = rows.filter(({ status }) => status === 'FAILED');
  const strange = failed.filter(({ reason }) => !allowed.has(reason));
  const problems = strange.map(({ id, reason, message }) => `build ${id} failed: ${reason}, ${message}`);
  if (ends > 0 && failed.length > ends) problems.push(`${failed.length} builds failed of ${ends} mistakes`);
  const wanted =
    { superseding: bot.builds.length - 1 }[scenario as string] ??
    (scenario.startsWith('cancel') ? bot.builds.length : 0);
  const cancelled = rows.filter(({ status }) => status === 'CANCELLED').length;
  if (cancelled > wanted) problems.push(`${cancelled} builds were cancelled`);
  return problems;
}

/** Of builds that take each other's place, the newest one lives, and each other one says who took its place. */
async function judgeSuperseded({
  rig: {
    database: { db },
  },
}: Stage): Promise<string[]> {
  const rows = await db
    .selectFrom('build_audit')
    .select(['number', 'status', 'superseded_by'])
    .orderBy('number')
    .execute();
  return rows.flatMap(({ number, status, superseded_by: by }, index) => {
    const isNewest = index === rows.length - 1;
    const isRight = isNewest ? status === 'COMPLETED' && by === null : status === 'CANCELLED' && by !== null;
    return isRight ? [] : [`build #${number} of ${rows.length} is ${status}, superseded by ${by}`];
  });
}

function kindOf({ fault }: FailpointCase): string {
  return fault.split(':')[0] ?? fault;
}
