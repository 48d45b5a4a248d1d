/** What builds leave on a machine, and who may remove it. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { ALL_OF_THE_NETWORK } from '../../src/std/network-access.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { keepHouse, keepWorkspaces } from '../../src/workers/janitor.ts';
import { claimByHand, registerByHand } from '../support/claim.ts';
import { housekeeperOf } from '../support/coordinator.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { enqueueRun } from '../support/task-runs.ts';

let stack: TestStack;
let projectId: string;

beforeEach(async () => {
  stack = await openTestStack();
  projectId = (await stack.createProject()).id;
});

afterEach(async () => {
  for (const { buildId } of await stack.orchestrator.runtime.list()) await stack.orchestrator.runtime.sweep(buildId);
  await stack[Symbol.asyncDispose]();
});

/** A claimed build with a process that carries its mark in a workspace here. */
async function startHere(workerId: string): Promise<ClaimedBuild> {
  await startBuild(stack.orchestrator, { projectId, spec: { prompt: script({ print: 'x' }) } }, 'test');
  const build = await claimByHand(stack, workerId);
  const workspace = await stack.orchestrator.runtime.open(build.id);
  const env = { PATH: process.env.PATH ?? '' };
  const argv: [string, ...string[]] = ['sleep', '300'];
  const cwd = workspace.paths.work;
  await workspace.start({ argv, cwd, env, stdin: '', redact: (text) => text, network: ALL_OF_THE_NETWORK });
  return build;
}

const left = async () => (await stack.orchestrator.runtime.list()).map(({ buildId }) => buildId).toSorted();

test('of builds that are over or run on another host nothing stays; what runs or waits here is not touched', async () => {
  const here = await registerByHand(stack);
  const elsewhere = await registerByHand(stack, '/elsewhere');
  const away = await startHere(elsewhere);
  const pushing = await startHere(elsewhere);
  const commit = { sha: 'a'.repeat(40), branch: 'main', expected: null, filesChanged: [] };
  await openPostgresLedger(stack.orchestrator, pushing).recordPushIntent(commit, null);
  const over = await startHere(here);
  await openPostgresLedger(stack.orchestrator, over).finish({ status: 'COMPLETED', result: {} });
  const running = await startHere(here);
  const waiting = await startHere(here);
  await sql`update build_audit set lease_until = now() - interval '1 s' where id = ${waiting.id}`.execute(
    stack.orchestrator.db,
  );
  await rescueBuilds(stack.orchestrator, 'expired');
  const stranger = join(stack.dataFolder, 'builds', 'notes');
  await mkdir(stranger, { recursive: true });

  await keepHouse(stack.orchestrator);
  await keepWorkspaces(housekeeperOf(stack.orchestrator));

  const kept = [pushing.id, running.id, waiting.id];
  const homes = (await stack.orchestrator.runtime.list()).filter(({ closed }) => closed).map(({ buildId }) => buildId);
  expect(homes).toContain(over.id);
  expect(await left()).toEqual([...kept, over.id, 'notes'].toSorted());
  for (const build of [away, over]) expect(await stack.orchestrator.runtime.sweep(build.id)).toBe(0);
  for (const id of kept) expect(await stack.orchestrator.runtime.sweep(id)).toBeGreaterThan(0);
});

test('who is told to end begins nothing more: neither with what is left here nor with what others have left', async () => {
  const here = await registerByHand(stack);
  const over = await startHere(here);
  await openPostgresLedger(stack.orchestrator, over).finish({ status: 'COMPLETED', result: {} });
  const lost = await startHere(here);
  const expired = sql`update build_audit set lease_until = now() - interval '1 s' where id = ${lost.id}`;
  await expired.execute(stack.orchestrator.db);
  const ends = AbortSignal.abort();
  await keepHouse({ ...stack.orchestrator, ends });
  await keepWorkspaces({ ...housekeeperOf(stack.orchestrator), ends });
  expect(await rescueBuilds({ ...stack.orchestrator, ends }, 'expired')).toBe(0);
  expect((await stack.orchestrator.runtime.list()).filter(({ closed }) => closed)).toEqual([]);
  expect(await stack.orchestrator.runtime.sweep(over.id)).toBeGreaterThan(0);
});

test('the workspace of a task stays until the task is over', async () => {
  const { orchestrator } = stack;
  const task = { type: 'test', payload: {} };
  const [waits, over] = await Promise.all([1, 2].map(() => enqueueRun(stack, { id: projectId }, task)));
  for (const id of [waits, over]) await orchestrator.runtime.open(id ?? '');
  await cancelTask(orchestrator, { id: over ?? '', reason: null }, 'test');
  await keepWorkspaces(housekeeperOf(orchestrator));
  expect(await left()).toEqual([waits]);
});

test('partitions that fail, and a workspace that cannot be removed, do not stop the rest', async () => {
  const here = await registerByHand(stack);
  const builds = [await startHere(here), await startHere(here)] as const;
  for (const build of builds) {
    await openPostgresLedger(stack.orchestrator, build).finish({ status: 'COMPLETED', result: {} });
  }
  await sql`drop function ensure_build_partitions`.execute(stack.orchestrator.db);
  // A home that is none.
  const broken = join(stack.dataFolder, 'builds', builds[0].id, 'home');
  await rm(broken, { recursive: true });
  await writeFile(broken, '');
  await keepHouse(stack.orchestrator);
  await keepWorkspaces(housekeeperOf(stack.orchestrator));
  expect(await readdir(join(stack.dataFolder, 'builds', builds[0].id))).toContain('work');
  expect(await readdir(join(stack.dataFolder, 'builds', builds[1].id))).toEqual(['home']);
});
