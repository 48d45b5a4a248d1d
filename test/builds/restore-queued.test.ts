/** Builds that wait and that the queue has lost. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { restoreQueued } from '../../src/builds/restore-queued.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';

let stack: TestStack;
let projectId: string;

beforeEach(async () => {
  stack = await openTestStack();
  projectId = (await stack.createProject()).id;
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

async function startOld(): Promise<Build> {
  const spec = { prompt: script({ print: 'x' }), priority: 3 };
  const { build } = await startBuild(stack.orchestrator, { projectId, spec }, 'test');
  const { db } = stack.orchestrator;
  await sql`update build_audit set created_at = now() - interval '2 minutes' where id = ${build.id}`.execute(db);
  return build;
}

const forget = (build: Build) => sql`delete from queue_items where id = ${build.id}`.execute(stack.orchestrator.db);

async function priorityOf(build: Build) {
  const { rows } = await sql<{ priority: number }>`
    select priority from queue_items where id = ${build.id} and claimed_at is null`.execute(stack.orchestrator.db);
  return rows.map(({ priority }) => priority);
}

test('a build that the queue has lost is queued again, once, and runs', async () => {
  const [lost, queued] = [await startOld(), await startOld()];
  await forget(lost);
  const counts = await Promise.all([1, 2, 3].map(() => restoreQueued(stack.orchestrator)));
  expect(counts.toSorted()).toEqual([0, 0, 1]);
  expect(await priorityOf(lost)).toEqual([3]);
  expect(await priorityOf(queued)).toEqual([3]);
  expect(await restoreQueued(stack.orchestrator)).toBe(0);
  await stack.openWorker();
  await stack.finished(lost.id);
  expect(await restoreQueued(stack.orchestrator)).toBe(0);
});

test('what is younger than a minute is left alone', async () => {
  const young = await startOld();
  const { db } = stack.orchestrator;
  await forget(young);
  await sql`update build_audit set created_at = now() where id = ${young.id}`.execute(db);
  expect(await restoreQueued(stack.orchestrator)).toBe(0);
  expect(await priorityOf(young)).toEqual([]);
});
