/** Builds that wait and whose job is gone. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Build } from '../../src/builds/build.ts';
import { restoreJobs } from '../../src/builds/restore-jobs.ts';
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

const dropJob = (build: Build) => sql`delete from pgboss.job where id = ${build.id}`.execute(stack.orchestrator.db);

async function jobsOf(build: Build) {
  const { rows } = await sql<{ state: string; priority: number }>`
    select state, priority from pgboss.job where id = ${build.id}`.execute(stack.orchestrator.db);
  return rows;
}

test('a build without a job is queued again, once, and runs', async () => {
  const [lost, queued] = [await startOld(), await startOld()];
  await dropJob(lost);
  const counts = await Promise.all([1, 2, 3].map(() => restoreJobs(stack.orchestrator)));
  expect(counts.toSorted()).toEqual([0, 0, 1]);
  expect(await jobsOf(lost)).toEqual([{ state: 'created', priority: 3 }]);
  expect(await jobsOf(queued)).toHaveLength(1);
  expect(await restoreJobs(stack.orchestrator)).toBe(0);
  await stack.openWorker();
  await stack.finished(lost.id);
  expect(await restoreJobs(stack.orchestrator)).toBe(0);
});

test.each(['completed', 'cancelled', 'failed'])('a job that is %s gives no build out', async (state) => {
  const build = await startOld();
  const { db } = stack.orchestrator;
  await sql`update pgboss.job set state = ${state}::pgboss.job_state where id = ${build.id}`.execute(db);
  expect(await restoreJobs(stack.orchestrator)).toBe(1);
  expect(await jobsOf(build)).toEqual([{ state: 'created', priority: 3 }]);
});

test('what is younger than a minute, or has a job that was handed out, is left alone', async () => {
  const [young, active] = [await startOld(), await startOld()];
  const { db } = stack.orchestrator;
  await dropJob(young);
  await sql`update build_audit set created_at = now() where id = ${young.id}`.execute(db);
  await sql`update pgboss.job set state = 'active' where id = ${active.id}`.execute(db);
  expect(await restoreJobs(stack.orchestrator)).toBe(0);
  expect(await jobsOf(young)).toEqual([]);
});
