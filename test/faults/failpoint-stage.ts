/** What is there when a case begins, and what clients do until its fault has happened and after it. */
import { v7 } from 'uuid';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { commitAsPerson } from '../git/sandbox.ts';
import { freePort } from '../support/free-port.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Bot, type BotOptions, openBot, told } from './failpoint-bot.ts';
import { type FailpointCase, pointsOf, type Scenario } from './failpoint-cases.ts';
import { FAR, type HostProcess, type Rig, unlessTransient } from './failpoint-rig.ts';
import { DEPLOY_SETTINGS, openTaskBot, type TaskBot } from './failpoint-tasks.ts';

/** The worker ends by itself. */
export const LEAVING: ReadonlySet<string> = new Set<Scenario>(['drain', 'leave']);
/** What every process does by itself is left to the one under test until its fault has happened. */
export const ALONE: ReadonlySet<string> = new Set<Scenario>(['schedule', 'orphan tasks']);
/** Tasks and no builds. */
export const TASKS_ONLY: ReadonlySet<string> = new Set<Scenario>([
  'task',
  'cancel task',
  'orphan tasks',
  'test run',
  'deploy run',
]);

/** Of a project whose cases are about limits. */
const LIMITS = { maxRunning: 2, maxRunningPerKey: 1 };

export interface Stage {
  readonly entry: FailpointCase;
  readonly rig: Rig;
  readonly bot: Bot;
  /** Null where there are no tasks. */
  readonly taskBot: TaskBot | null;
  /** Clients that work on tasks until `over` aborts. */
  readonly working: Promise<void>[];
  readonly over: AbortController;
  /** The process that the fault is meant for. */
  readonly armed: HostProcess;
  readonly port: number;
}

/** The process with the armed failpoint, and what it needs around it. */
export async function setUp(rig: Rig, entry: FailpointCase): Promise<Stage> {
  const { host, scenario } = entry;
  const port = host === 'server' ? await freePort() : 0;
  const tasks = { over: new AbortController(), working: [] as Promise<void>[] };
  // Somebody else's builds are there before the worker that finds them; of its own it has none.
  if (scenario === 'orphan') {
    const { bot, armed } = await startOrphans(rig, entry);
    return { entry, rig, port, ...tasks, armed, bot, taskBot: null };
  }
  const litter = scenario === 'litter' ? 'finish.committed=fail,' : '';
  // A remote worker needs one that rescues and sends callbacks, too; it runs none of its builds.
  if (host !== 'worker' && !ALONE.has(scenario)) await rig.openWorker('home');
  const failpoints = litter + armingOf(entry);
  const armed = await rig.startProcess(host, { folder: 'armed', failpoints, port });
  const urls = armed.url === null ? [rig.url] : [armed.url, rig.url];
  if (scenario === 'far') await rig.startProcess('remote', { folder: 'far', server: urls[0] ?? rig.url });
  const bot = await openBot(rig, { urls, ...botOptions(entry) });
  const hasTasks = TASKS_ONLY.has(scenario) || scenario === 'limited';
  if (scenario.endsWith(' run')) for (const path of rig.remotes.values()) await commitAsPerson(path, { 'a.txt': 'a' });
  const taskBot = hasTasks ? await openTaskBot(rig, bot, isFar(entry) ? [FAR] : []) : null;
  return { entry, rig, port, ...tasks, armed, bot, taskBot };
}

function isFar({ host, scenario }: FailpointCase): boolean {
  return host === 'remote' || scenario === 'far';
}

function botOptions(entry: FailpointCase): Omit<BotOptions, 'urls'> {
  const { scenario } = entry;
  const spec = {
    ...(isFar(entry) ? { runsOn: [FAR] } : {}),
    ...(scenario === 'superseding' ? { supersede: { policy: 'CANCEL_IN_PROGRESS', by: 'BRANCH' } } : {}),
  };
  const settings = {
    ...(scenario === 'limited' ? { queue: LIMITS } : {}),
    ...(scenario === 'deploy run' ? DEPLOY_SETTINGS : {}),
  };
  return { isRemote: isFar(entry) || usesRemote(entry), spec, settings };
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
export async function play(stage: Stage): Promise<void> {
  const { entry, bot, armed } = stage;
  switch (entry.scenario) {
    case 'quick':
    case 'long':
    case 'failing':
    case 'refused':
      return startAll(bot, entry, entry.scenario);
    case 'far':
      return startAll(bot, entry, 'quick');
    case 'superseding':
      return void (await Promise.all(Array.from({ length: 3 }, () => bot.startBuild('long'))));
    case 'schedule':
      return void (await Promise.all([bot.awaitScheduled(), bot.awaitScheduled()]));
    case 'limited':
      return playLimited(stage);
    case 'task':
    case 'cancel task':
    case 'orphan tasks':
    case 'test run':
    case 'deploy run':
      return playTasks(stage);
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

async function playTasks({ entry, rig, taskBot, working, over }: Stage): Promise<void> {
  if (!taskBot) throw new Error('there is nobody for tasks');
  const { scenario, also } = entry;
  if (scenario === 'test run' || scenario === 'deploy run') {
    const type = scenario === 'test run' ? 'test' : 'deploy';
    return void (await Promise.all(Array.from({ length: 2 + also.length }, () => taskBot.enqueueRun(type))));
  }
  const work = () => {
    const worker = taskBot.work(over.signal);
    worker.catch(() => {});
    working.push(worker);
  };
  if (scenario === 'orphan tasks') {
    await taskBot.enqueue(['COMPLETE']);
    const sayLate = await taskBot.claimAndForget();
    work();
    const again = rig.database.db.selectFrom('tasks').select('id').where('attempt_no', '>', 1);
    const isTaken = async () => (await again.execute().catch(unlessTransient))?.length;
    await waitFor(isTaken, { deadlineMs: 100_000, everyMs: 100, what: 'the second claim of a task' });
    return sayLate();
  }
  work();
  if (scenario === 'cancel task') {
    const later = { runAfter: new Date(Date.now() + 3_600_000).toISOString() };
    await taskBot.cancel(await taskBot.enqueue(['COMPLETE'], later));
    const running = await taskBot.enqueue(['WAIT FOR CANCEL']);
    const claimed = rig.database.db.selectFrom('tasks').select('id').where('status', '=', 'RUNNING');
    const isClaimed = async () => (await claimed.execute().catch(unlessTransient))?.length;
    await waitFor(isClaimed, { deadlineMs: 60_000, what: 'the claim of a task' });
    return taskBot.cancel(running);
  }
  work();
  for (const first of ['COMPLETE', 'FAIL', 'RELEASE', ...also.map(() => 'FAIL' as const)] as const) {
    await taskBot.enqueue([first, 'COMPLETE']);
  }
}

async function playLimited(stage: Stage): Promise<void> {
  const { bot, taskBot, working, over } = stage;
  if (!taskBot) throw new Error('there is nobody for tasks');
  const key = { concurrencyKey: 'one' };
  const builds = [key, key, {}].map((spec) => bot.startBuild('quick', spec));
  await Promise.all([...builds, taskBot.enqueue(['COMPLETE'], key), taskBot.enqueue(['COMPLETE'])]);
  working.push(taskBot.work(over.signal));
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

/** As SLIPWAY_FAILPOINTS has it. */
function armingOf({ point, pass, also, fault, times }: FailpointCase): string {
  const arm = (at: Pick<FailpointCase, 'point' | 'pass'>) =>
    Array.from({ length: times }, (_, index) => `${at.point}=${fault}@${at.pass + 2 * index}`);
  return [{ point, pass }, ...also].flatMap(arm).join();
}
