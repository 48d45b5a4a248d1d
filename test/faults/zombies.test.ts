/** Workers that stop for a while and come back, workers that never come back, and clocks that jump. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { LEASE_SECONDS } from '../../src/builds/lease.ts';
import type { Ledger } from '../../src/builds/ledger.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { waitFor } from '../support/wait-for.ts';
import { openScene, type Scene, untilAgentRuns } from './stranded-builds.ts';

const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1';

let scene: Scene;

beforeEach(async () => {
  scene = await openScene();
});

afterEach(async () => {
  await scene[Symbol.asyncDispose]();
});

const attemptsOf = async (id: string) =>
  (
    await sql<{ outcome: string | null }>`
      select outcome from build_attempts where build_id = ${id} order by attempt_no`.execute(
      scene.stack.orchestrator.db,
    )
  ).rows.map(({ outcome }) => outcome);

/** A successor of another machine, without a process that could reach ours: the mark of a build knows no machines. */
async function succeed(build: Build): Promise<Ledger> {
  const { orchestrator } = scene.stack;
  const isMoved = async () => (await rescueBuilds(orchestrator, 'expired')) === 1;
  await waitFor(isMoved, { deadlineMs: 40_000, what: 'the end of the lease' });
  const claimed = await claimByHand(scene.stack, await registerByHand(scene.stack, '/elsewhere'));
  expect(claimed.id).toBe(build.id);
  return openPostgresLedger(orchestrator, claimed);
}

test('a worker that was stopped for 40 s ends its agent when it comes back, and changes nothing', async () => {
  const host = await scene.newHost();
  const zombie = await scene.startWorker({ dataFolder: host });
  const build = await scene.startWaiting();
  await untilAgentRuns(scene, build);
  await endWatch(host, build);
  zombie.kill('SIGSTOP');
  const stoppedAt = performance.now();
  const successor = await succeed(build);
  await waitFor(() => performance.now() - stoppedAt > 40_000, { deadlineMs: 60_000, what: 'the rest of its pause' });
  expect(await scene.processesOf(build)).not.toEqual([]);
  const before = await scene.eventTypes(build);
  // What the agent does now is for a zombie to publish.
  await scene.openGate();
  zombie.kill('SIGCONT');
  const resumedAt = performance.now();
  const isDead = async () => (await scene.processesOf(build)).length === 0;
  await waitFor(isDead, { deadlineMs: 30_000, what: 'the end of the agent of the zombie' });
  console.log(`SIGCONT to the end of the zombie's agent: ${Math.round(performance.now() - resumedAt)} ms`);
  expect(await scene.eventTypes(build)).toEqual(before);
  expect(await scene.find(build)).toMatchObject({ status: 'RUNNING', attemptNo: 2, pushIntentSha: null });
  await successor.finish({ status: 'COMPLETED', result: {} });
  expect(await attemptsOf(build.id)).toEqual(['LOST', 'FINISHED']);
}, 150_000);

/** Nobody watches over the agent any more but its worker: what that does is looked at. */
async function endWatch(host: string, build: Build): Promise<void> {
  const supervisor = Number.parseInt(await readFile(join(host, 'builds', build.id, 'run/pid'), 'utf8'), 10);
  const children = await readFile(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8');
  const [watcher] = children.split(' ').map(Number);
  if (!watcher) throw new Error('the supervisor has no watcher');
  process.kill(watcher, 'SIGKILL');
}

test('the agent of a worker that is killed and never comes back ends, whoever goes on with the build', async () => {
  const lost = await scene.startWorker({ dataFolder: await scene.newHost() });
  const build = await scene.startWaiting();
  await untilAgentRuns(scene, build);
  lost.kill('SIGKILL');
  const killedAt = performance.now();
  const successor = await succeed(build);
  const isDead = async () => (await scene.processesOf(build)).length === 0;
  await waitFor(isDead, { deadlineMs: 60_000, what: 'the end of the orphans' });
  console.log(`kill -9 of the worker to the end of its agent: ${Math.round((performance.now() - killedAt) / 1000)} s`);
  await successor.finish({ status: 'COMPLETED', result: {} });
}, 120_000);

test('a second worker of the same machine takes the agent over, after the lease', async () => {
  const dataFolder = await scene.newHost();
  const first = await scene.startWorker({ dataFolder });
  const build = await scene.startWaiting();
  await untilAgentRuns(scene, build);
  await scene.startWorker({ dataFolder });
  first.kill('SIGKILL');
  await waitFor(async () => (await scene.find(build)).attemptNo === 2, {
    deadlineMs: 40_000,
    what: 'the next attempt',
  });
  // Longer than an agent lives that nobody looks after.
  await delay(20_000);
  await scene.openGate();
  expect(await scene.stack.finished(build.id, 40_000)).toMatchObject({ status: 'COMPLETED', attemptNo: 2 });
  expect(await scene.agentStarts(build)).toBe(1);
}, 120_000);

test.skipIf(skipReason() !== null)(
  'jumps of the clock of a worker by hours and days cost no lease',
  async () => {
    const host = await scene.newHost();
    const clock = join(host, 'clock');
    await writeFile(clock, '+0');
    const worker = await scene.startWorker({
      dataFolder: host,
      environment: {
        LD_PRELOAD: FAKETIME,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    });
    await scene.startWorker({ dataFolder: await scene.newHost() });
    const builds = [await scene.startWaiting(), await scene.startWaiting()];
    for (const build of builds) await untilAgentRuns(scene, build);
    for (const jump of ['+1h', '-1h', '+1d', '-1d']) {
      await writeFile(clock, jump);
      // Two heartbeats and a look for lost builds under this clock.
      await delay((LEASE_SECONDS / 2) * 1_000);
    }
    await scene.openGate();
    for (const build of builds) {
      expect(await scene.stack.finished(build.id, 40_000)).toMatchObject({ status: 'COMPLETED', attemptNo: 1 });
      expect(await scene.agentStarts(build)).toBe(1);
      expect(await attemptsOf(build.id)).toEqual(['FINISHED']);
    }
    expect(worker.exitCode).toBeNull();
  },
  120_000,
);

function skipReason(): string | null {
  if (existsSync(FAKETIME)) return null;
  console.log('skipped: no libfaketime (Debian: apt-get install faketime)');
  return 'no libfaketime';
}
