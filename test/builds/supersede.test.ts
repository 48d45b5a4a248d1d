import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Build, findBuild } from '../../src/builds/build.ts';
import type { BuildSpecInput } from '../../src/builds/build-spec.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { InvalidInputError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import type { Project } from '../../src/projects/project.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { claimByHand, claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
});
afterAll(() => stack[Symbol.asyncDispose]());

async function start(project: Project, spec: Partial<BuildSpecInput> = {}): Promise<Build> {
  const input = { projectId: project.id, spec: { prompt: 'work', ...spec } };
  return (await startBuild(stack.orchestrator, input, 'test')).build;
}

async function read({ id }: Pick<Build, 'id'>): Promise<Build> {
  const build = await findBuild(stack.orchestrator.db, id);
  if (!build) throw new Error('no such build');
  return build;
}

const LATER = { runAfter: new Date(Date.now() + 3_600_000) };
const byBranch = (policy: 'QUEUE' | 'CANCEL_IN_PROGRESS' | 'SKIP_NEWEST') =>
  ({ supersede: { by: 'BRANCH', policy } }) as const;

test('a new build of a branch takes the place of those that wait and run, and of no other branch', async () => {
  const project = await stack.createProject({ settings: byBranch('CANCEL_IN_PROGRESS') });
  const other = await start(project, { branch: 'other', ...LATER });
  const running = await start(project);
  await claimByHand(stack, await registerByHand(stack));
  const waiting = await start(project, { callbackUrl: 'http://127.0.0.1:9/' });
  expect(await read(running)).toMatchObject({ status: 'RUNNING', supersededBy: waiting.id });
  const last = await start(project);
  const reason = `Build #${last.number} (${toPublicId('build', last.id)}) took its place.`;
  expect(await read(waiting)).toMatchObject({ status: 'CANCELLED', cancelReason: reason, supersededBy: last.id });
  // What ends already goes on to end for its first reason.
  expect(await read(running)).toMatchObject({ cancelRequestedAt: expect.any(Date), supersededBy: waiting.id });
  expect(await read(last)).toMatchObject({ status: 'PENDING', supersededBy: null });
  expect(await read(other)).toMatchObject({ status: 'PENDING' });
  const events = await readEvents(stack.orchestrator.db, { buildId: waiting.id, after: 0, limit: 10 });
  expect(events.map(({ type }) => type)).toEqual(['QUEUED', 'CANCEL_REQUESTED', 'FINISHED']);
  const { db } = stack.orchestrator;
  expect(await db.selectFrom('deliveries').selectAll().where('build_id', '=', waiting.id).execute()).toHaveLength(1);
  const audit = await db.selectFrom('audit_log').selectAll().where('subject_id', '=', waiting.id).execute();
  expect(audit.map(({ action }) => action)).toEqual(['startBuild', 'supersedeBuild']);
});

test('what is being pushed is left', async () => {
  const project = await stack.createProject({
    settings: { supersede: { by: 'PROJECT', policy: 'CANCEL_IN_PROGRESS' } },
  });
  const pushing = await start(project, LATER);
  const { db } = stack.orchestrator;
  await db.updateTable('build_audit').set({ push_intent_sha: 'c0ffee' }).where('id', '=', pushing.id).execute();
  await start(project, LATER);
  expect(await read(pushing)).toMatchObject({ status: 'PENDING', cancelRequestedAt: null, supersededBy: null });
});

test('the newest is skipped while one of its key waits or runs: it ends at once, with a reason and a link', async () => {
  const project = await stack.createProject({ settings: { supersede: { by: 'KEY', policy: 'SKIP_NEWEST' } } });
  const first = await start(project, { concurrencyKey: 'deploy', ...LATER });
  const skipped = await start(project, { concurrencyKey: 'deploy', callbackUrl: 'http://127.0.0.1:9/' });
  const reason = `Build #1 (${toPublicId('build', first.id)}) was waiting or running already.`;
  expect(skipped).toMatchObject({ status: 'CANCELLED', cancelReason: reason, supersededBy: first.id });
  expect(skipped.result).toMatchObject({ success: false });
  const { db } = stack.orchestrator;
  expect(await db.selectFrom('deliveries').selectAll().where('build_id', '=', skipped.id).execute()).toHaveLength(1);
  expect(await start(project, { concurrencyKey: 'test', ...LATER })).toMatchObject({ status: 'PENDING' });
  // Without a key it is in no group.
  expect(await start(project, LATER)).toMatchObject({ status: 'PENDING' });
  await cancelBuild(stack.orchestrator, { id: first.id }, 'test');
  expect(await start(project, { concurrencyKey: 'deploy', ...LATER })).toMatchObject({ status: 'PENDING' });
});

test("a build's own policy goes before its project's, and by KEY it needs a key", async () => {
  const project = await stack.createProject({ settings: byBranch('CANCEL_IN_PROGRESS') });
  const first = await start(project, LATER);
  await start(project, { ...byBranch('QUEUE'), ...LATER });
  expect(await read(first)).toMatchObject({ status: 'PENDING' });
  const keyless = start(project, { supersede: { by: 'KEY', policy: 'SKIP_NEWEST' } });
  await expect(keyless).rejects.toThrow(InvalidInputError);
  await expect(start(project, { supersede: { by: 'KEY', policy: 'SKIP_NEWEST' } })).rejects.toThrow('concurrencyKey');
});

test('20 at once, with cancels and claims between them: one of each branch is left, and nothing is stuck', async () => {
  const project = await stack.createProject({ settings: byBranch('CANCEL_IN_PROGRESS') });
  const workerId = await registerByHand(stack);
  const { db } = stack.orchestrator;
  const started: Build[] = [];
  const disturb = async () => {
    const one = started[Math.floor(Math.random() * started.length)];
    if (one) await cancelBuild(stack.orchestrator, { id: one.id }, 'test').catch(() => {});
    await claimBuilds(stack.orchestrator, claimer(workerId), 3);
  };
  for (let round = 0; round < 3; round += 1) {
    const accepts = Array.from({ length: 20 }, async (_, index) => {
      started.push(await start(project, { branch: index % 2 === 0 ? 'a' : 'b' }));
    });
    await Promise.all([...accepts, ...Array.from({ length: 10 }, disturb)]);
  }
  expect(started).toHaveLength(60);
  const open = await db
    .selectFrom('build_audit')
    .select('branch')
    .where('project_id', '=', project.id)
    .where('cancel_requested_at', 'is', null)
    .execute();
  // The newest of a branch may have been cancelled by hand; an earlier one that goes on would be a fault.
  expect(open.filter(({ branch }) => branch === 'a').length).toBeLessThanOrEqual(1);
  expect(open.filter(({ branch }) => branch === 'b').length).toBeLessThanOrEqual(1);
  const last = await start(project, { branch: 'a' });
  const left = await db
    .selectFrom('build_audit')
    .select('id')
    .where('project_id', '=', project.id)
    .where('branch', '=', 'a')
    .where('cancel_requested_at', 'is', null)
    .execute();
  expect(left.map(({ id }) => id)).toEqual([last.id]);
});

test('20 at once of which all but the first are skipped', async () => {
  const project = await stack.createProject({ settings: { supersede: { by: 'PROJECT', policy: 'SKIP_NEWEST' } } });
  const builds = await Promise.all(Array.from({ length: 20 }, () => start(project, LATER)));
  expect(builds.filter(({ status }) => status === 'PENDING')).toHaveLength(1);
  expect(new Set(builds.map(({ number }) => number)).size).toBe(20);
});
