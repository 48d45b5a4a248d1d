/** Workers that are restarted while they work, and a build that kills its workers. */
import type { ChildProcess } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { type SlipwayProcess, startSlipway } from '../cli/slipway-process.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { openScene, type Scene, untilAgentRuns } from './stranded-builds.ts';

const RESTARTS = 20;
const BUILDS = 4;
const DRAIN_SECONDS = 1;

let scene: Scene;
let opened: AsyncDisposableStack;

beforeEach(async () => {
  opened = new AsyncDisposableStack();
  scene = opened.use(await openScene());
});

afterEach(async () => {
  await opened.disposeAsync();
});

function startWork(dataFolder: string, environment: Record<string, string> = {}): SlipwayProcess {
  const slipway = startSlipway(['work', '--json'], {
    ...scene.environment,
    SLIPWAY_DATA: dataFolder,
    SLIPWAY_DATABASE_URL: scene.stack.databaseUrl,
    SLIPWAY_DRAIN_SECONDS: String(DRAIN_SECONDS),
    SLIPWAY_WORKER_CAPACITY: String(BUILDS),
    SLIPWAY_SANDBOX: 'none',
    ...environment,
  });
  opened.defer(async () => {
    slipway.child.kill('SIGKILL');
    await slipway.ended;
  });
  return slipway;
}

const isWorking = async (slipway: SlipwayProcess) => {
  await waitFor(() => slipway.stdout.includes('\n'), { deadlineMs: 30_000, what: 'the worker' });
};

test(`${RESTARTS} restarts of a worker by SIGTERM run no agent twice and lose no build`, async () => {
  const dataFolder = await scene.newHost();
  const builds: Build[] = [];
  for (let count = 0; count < BUILDS; count += 1) builds.push(await scene.startWaiting());
  let work = startWork(dataFolder);
  for (const build of builds) await untilAgentRuns(scene, build);
  let slowest = 0;
  for (let restart = 1; restart <= RESTARTS; restart += 1) {
    const begun = performance.now();
    work.child.kill('SIGTERM');
    expect(await work.ended).toBe(0);
    slowest = Math.max(slowest, performance.now() - begun);
    const begin = restart + 1;
    work = startWork(dataFolder);
    const attached = async () => {
      const now = await Promise.all(builds.map((build) => scene.find(build)));
      return now.every(({ attemptNo, phase }) => attemptNo === begin && phase === 'AGENT');
    };
    await waitFor(attached, { deadlineMs: 30_000, what: `the builds after restart ${restart}` });
  }
  console.log(
    `${RESTARTS} restarts; the slowest exit after ${Math.round(slowest)} ms, ${DRAIN_SECONDS} s of them grace`,
  );
  await scene.openGate();
  for (const build of builds) {
    expect(await scene.stack.finished(build.id, 30_000)).toMatchObject({ status: 'COMPLETED', failure: null });
    expect(await scene.agentStarts(build)).toBe(1);
    await scene.eventTypes(build);
  }
}, 400_000);

test('without SLIPWAY_KEEP_AGENTS, and at Ctrl-C, agents end with the worker and their builds wait at once', async () => {
  const dataFolder = await scene.newHost();
  const build = await scene.startWaiting();
  for (const [signal, environment] of [
    ['SIGTERM', { SLIPWAY_KEEP_AGENTS: 'false' }],
    ['SIGINT', {}],
  ] as const) {
    const work = startWork(dataFolder, environment);
    await isWorking(work);
    await waitFor(async () => (await scene.find(build)).phase === 'AGENT', { deadlineMs: 20_000 });
    work.child.kill(signal);
    expect(await work.ended).toBe(0);
    expect(await scene.processesOf(build)).toEqual([]);
    expect(await scene.find(build)).toMatchObject({ status: 'PENDING', phase: 'QUEUED' });
  }
}, 90_000);

test('an heir that dies before it begins leaves agents to the next one, and never to another machine', async () => {
  const dataFolder = await scene.newHost();
  const builds = [await scene.startWaiting(), await scene.startWaiting()];
  const first = startWork(dataFolder);
  for (const build of builds) await untilAgentRuns(scene, build);
  await isWorking(startWork(await scene.newHost()));
  first.child.kill('SIGTERM');
  expect(await first.ended).toBe(0);
  const heir = startWork(dataFolder, { SLIPWAY_FAILPOINTS: 'rescue.committed=kill@2' });
  await heir.ended;
  startWork(dataFolder);
  const attached = async () => {
    const now = await Promise.all(builds.map((build) => scene.find(build)));
    return now.every(({ attemptNo, phase }) => attemptNo === 3 && phase === 'AGENT');
  };
  await waitFor(attached, { deadlineMs: 40_000, what: 'the builds' });
  await scene.openGate();
  for (const build of builds) {
    expect(await scene.stack.finished(build.id, 30_000)).toMatchObject({ status: 'COMPLETED', failure: null });
    expect(await scene.agentStarts(build)).toBe(1);
    await scene.eventTypes(build);
  }
}, 120_000);

test('a build that kills its workers stops after two, and the pool works on', async () => {
  const pidFile = join(await scene.newHost(), 'pid');
  const project = await scene.stack.createProject();
  const poison = script({ run: `while sleep 0.05; do [ -e ${pidFile} ] && kill -9 "$(cat ${pidFile})"; done 2>&1` });
  const input = { projectId: project.id, spec: { prompt: poison } };
  const { build } = await startBuild(scene.stack.orchestrator, input, 'test');
  const dataFolder = await scene.newHost();
  const workers: ChildProcess[] = [];
  const others: Build[] = [];
  for (let victims = 1; victims <= 2; victims += 1) {
    workers.push(await scene.startWorker({ dataFolder }));
    const runs = async () => {
      const { attemptNo, workerId } = await scene.find(build);
      return attemptNo === victims && workerId !== null ? findProcess(workerId, workers) : null;
    };
    const victim = await waitFor(runs, { deadlineMs: 40_000, what: `victim ${victims}` });
    if (victims === 2) for (let count = 0; count < 3; count += 1) others.push(await scene.startWaiting());
    for (const other of others) await untilAgentRuns(scene, other);
    await writeFile(pidFile, String(victim.pid));
    await waitFor(() => victim.signalCode, { what: 'the kill' });
    await rm(pidFile);
  }
  workers.push(await scene.startWorker({ dataFolder }));
  const ended = await scene.stack.finished(build.id, 60_000);
  expect(ended).toMatchObject({ status: 'FAILED', attemptNo: 2, failure: { reason: 'WORKER_LOST' } });
  await scene.openGate();
  for (const other of others) {
    expect((await scene.stack.finished(other.id, 60_000)).status).toBe('COMPLETED');
    expect(await scene.agentStarts(other)).toBe(1);
  }
  expect(workers.filter(({ signalCode }) => signalCode !== null)).toHaveLength(2);
}, 200_000);

async function findProcess(workerId: string, workers: readonly ChildProcess[]): Promise<ChildProcess> {
  const row = await scene.stack.orchestrator.db
    .selectFrom('workers')
    .select('process')
    .where('id', '=', workerId)
    .executeTakeFirstOrThrow();
  const pid = Number.parseInt(row.process, 10);
  const found = workers.find((worker) => worker.pid === pid);
  if (!found) throw new Error(`no worker has the pid ${pid}`);
  return found;
}
