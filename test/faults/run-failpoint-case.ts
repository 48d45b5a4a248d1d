/** One case of the matrix: a process comes by the point, the fault happens, and everything is judged at the end. */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { LEASE_SECONDS, RESCUE_EVERY_MS } from '../../src/builds/lease.ts';
import { FAILPOINTS } from '../../src/std/failpoint.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import type { GitServer } from '../support/git-server.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Bot, openBot, told } from './failpoint-bot.ts';
import { type FailpointCase, nameOf, pointsOf, type Scenario } from './failpoint-cases.ts';
import { freePort, type HostProcess, openRig, type Rig } from './failpoint-rig.ts';
import { judge, type Verdict } from './oracle.ts';

/** The worker ends by itself. */
const LEAVING: ReadonlySet<string> = new Set<Scenario>(['drain', 'leave']);
/** How long a worker stands still: others have taken its builds by then. */
const PAUSE_MS = LEASE_SECONDS * 1000 + RESCUE_EVERY_MS + 5_000;
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

interface Stage {
  readonly entry: FailpointCase;
  readonly rig: Rig;
  readonly bot: Bot;
  /** The process that the fault is meant for. */
  readonly armed: HostProcess;
  readonly port: number;
}

export async function runFailpointCase(entry: FailpointCase, git: GitServer, gitPassword: string): Promise<CaseReport> {
  await using rig = await openRig(git, gitPassword);
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
    const problems = [...judgeExit(entry, exitCode), ...judgeAgents(stage), ...(await judgeOutcomes(stage))];
    return { verdict: await judge({ ...evidence, faultEndedAt, patienceMs: PATIENCE_MS }), problems };
  } catch (error) {
    const seen = bot.builds.map((build) => `${build.id}: ${build.seen.map((types) => types.join(' ')).join(' | ')}`);
    throw new Error([String(error), nameOf(entry), ...seen, armed.stderr].join('\n'), { cause: error });
  }
}

/** The process with the armed failpoint, and what it needs around it. */
async function setUp(rig: Rig, entry: FailpointCase): Promise<Stage> {
  const { host, scenario } = entry;
  const port = host === 'server' ? await freePort() : 0;
  // Somebody else's builds are there before the worker that finds them; of its own it has none.
  if (scenario === 'orphan') return { entry, rig, port, ...(await startOrphans(rig, entry)) };
  const litter = scenario === 'litter' ? 'finish.committed=fail,' : '';
  if (host === 'server') await rig.openWorker('home');
  const failpoints = litter + armingOf(entry);
  const armed = await rig.startProcess(host, { folder: 'armed', failpoints, port });
  const urls = armed.url === null ? [rig.url] : [armed.url, rig.url];
  const bot = await openBot(rig, { urls, isRemote: usesRemote(entry) });
  return { entry, rig, port, armed, bot };
}

/** Two builds that a worker has claimed which never beats, on a machine that nobody sees. */
async function startOrphans(rig: Rig, entry: FailpointCase) {
  const { orchestrator } = rig.service;
  const bot = await openBot(rig, { urls: [rig.url], isRemote: usesRemote(entry) });
  await Promise.all([bot.startBuild('quick'), bot.startBuild('quick')]);
  const workerId = v7();
  const gone = { id: workerId, name: 'gone', place: '/gone', version: '1', capacity: 2, agents: [] };
  await registerWorker(orchestrator.db, gone);
  await claimBuilds(orchestrator, { workerId, workerName: 'gone', labels: ['provider:scripted'], projectIds: null }, 2);
  const armed = await rig.startProcess('worker', { folder: 'armed', failpoints: armingOf(entry) });
  return { bot, armed };
}

/** What the clients do. */
async function play({ entry, bot, armed }: Stage): Promise<void> {
  switch (entry.scenario) {
    case 'quick':
    case 'long':
    case 'failing':
    case 'refused':
      return startAll(bot, entry, entry.scenario);
    case 'cancel at point':
      return startAll(bot, entry, entry.point.startsWith('quota.') ? 'refused' : 'quick');
    case 'held': {
      await told(await bot.startBuild('refused'), 'RETRY_SCHEDULED');
      return void (await bot.startBuild('quick'));
    }
    case 'told': {
      return bot.tellBuild(await bot.startBuild('told'));
    }
    case 'create':
      return void (await Promise.all([bot.createAndBuild(), bot.createAndBuild()]));
    case 'litter':
      return void (await bot.startBuild('quick'));
    case 'orphan':
      return;
    case 'retry': {
      const first = await bot.startBuild('quick');
      await first.ended;
      return void (await bot.retryBuild(first));
    }
    case 'cancel waiting': {
      const later = { runAfter: new Date(Date.now() + 3_600_000).toISOString() };
      const [waiting] = await Promise.all([bot.startBuild('quick', later), bot.startBuild('quick')]);
      return bot.cancelBuild(waiting);
    }
    case 'cancel running': {
      const [endless] = await Promise.all([bot.startBuild('endless'), bot.startBuild('quick')]);
      await told(endless, 'AGENT_STARTED');
      return bot.cancelBuild(endless);
    }
    case 'drain':
    case 'leave': {
      const builds = await Promise.all([bot.startBuild('long'), bot.startBuild('long')]);
      await Promise.all(builds.map((build) => told(build, 'AGENT_STARTED')));
      armed.child.kill(entry.scenario === 'drain' ? 'SIGINT' : 'SIGTERM');
    }
  }
}

type BuildKind = Parameters<Bot['startBuild']>[0];

/** One build for each mistake, which may end it, and a neighbour where several builds are on their way together. */
async function startAll(bot: Bot, entry: FailpointCase, kind: BuildKind): Promise<void> {
  const { fault, also, point } = entry;
  const hasNeighbour = fault === 'fail' || (fault === 'kill' && /^(accept|claim|heartbeat|agent|ledger)/.test(point));
  const count = (hasNeighbour ? 2 : 1) + also.length;
  await Promise.all(Array.from({ length: count }, () => bot.startBuild(kind)));
}

function usesRemote(entry: FailpointCase): boolean {
  return pointsOf(entry).some((point) => /^(prepare|publish|ledger|create)\./.test(point));
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
  if (entry.host === 'server') {
    if (isGone) await rig.startProcess('server', { folder: 'armed', port });
    if (kind === 'pause') await delay(SERVER_PAUSE_MS);
  } else {
    const folder = isGone && entry.successor === 'same folder' ? 'armed' : 'elsewhere';
    const isAway = isGone || kind === 'pause' || kind === 'spin' || LEAVING.has(entry.scenario);
    if (isAway) await rig.openWorker(folder);
    if (kind === 'pause') await waitToWake(stage);
  }
  if (kind === 'pause') armed.child.kill('SIGCONT');
  if (kind === 'delay' || kind === 'spin') await delay(Number(entry.fault.split(':')[1]));
}

async function waitToWake({ entry, bot, rig }: Stage): Promise<void> {
  if (entry.point.startsWith('deliver.')) return untilDelivered(rig);
  const over = performance.now() + PAUSE_MS;
  const isTaken = () => bot.builds.some(({ seen }) => (seen[0]?.filter((type) => type === 'STARTED').length ?? 0) > 1);
  const isTime = () => performance.now() > over || (entry.wake === 'takeover' && isTaken());
  await waitFor(isTime, { deadlineMs: PAUSE_MS + 5_000, everyMs: 50, what: 'the end of the pause' });
}

/** Everything has come to its end, and nobody is left who could still do something. */
async function settle({ bot, rig }: Stage): Promise<void> {
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
    const rows = await database.db.selectFrom('deliveries').select('status').execute();
    return rows.every(({ status }) => status === 'DELIVERED');
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
  const ends = host === 'worker' && fault === 'fail' ? pointsOf(entry).filter(isEnd).length : 0;
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
  const wanted = scenario.startsWith('cancel') ? bot.builds.length : 0;
  const cancelled = rows.filter(({ status }) => status === 'CANCELLED').length;
  if (cancelled > wanted) problems.push(`${cancelled} builds were cancelled`);
  return problems;
}

/** As SLIPWAY_FAILPOINTS has it. */
function armingOf({ point, pass, also, fault, times }: FailpointCase): string {
  const arm = (at: Pick<FailpointCase, 'point' | 'pass'>) =>
    Array.from({ length: times }, (_, index) => `${at.point}=${fault}@${at.pass + 2 * index}`);
  return [{ point, pass }, ...also].flatMap(arm).join();
}

function kindOf({ fault }: FailpointCase): string {
  return fault.split(':')[0] ?? fault;
}
