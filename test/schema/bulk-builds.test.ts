import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelBuilds } from '../../src/builds/cancel-builds.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { filterBuilds } from '../../src/builds/filter-builds.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { fromPublicId, toPublicId } from '../../src/std/public-id.ts';
import { claimByHand, claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api, viewer } from './api.ts';
import { FAILED, finish } from './finish.ts';

let stack: TestStack;
let api: Api;

beforeAll(async () => {
  stack = await openTestStack();
  api = new Api(stack.orchestrator);
});
afterAll(() => stack[Symbol.asyncDispose]());

const RESULT = 'dryRun matched changed ids skipped { id code message } hasMore';
const CANCEL = `mutation ($input: CancelBuildsInput!) { result: cancelBuilds(input: $input) {
  ... on CancelBuildsPayload { ${RESULT} } ... on InvalidInputError { issues { path message } } } }`;
const RETRY = `mutation ($input: RetryBuildsInput!) { result: retryBuilds(input: $input) {
  ... on RetryBuildsPayload { ${RESULT} startedIds } ... on InvalidInputError { issues { path message } } } }`;

const change = async (source: string, input: object, projectIds: readonly string[] | null = null) =>
  (await api.data(source, { variables: { input }, viewer: viewer({ projectIds, scopes: ['builds:write'] }) })).result;

const LATER = { runAfter: new Date(Date.now() + 3_600_000) };

async function start(projectId: string, count: number, spec: object = LATER): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const { build } = await startBuild(stack.orchestrator, { projectId, spec: { prompt: 'work', ...spec } }, 'test');
    ids.push(build.id);
  }
  return ids;
}

const statusOf = async (projectId: string) => {
  const { db } = stack.orchestrator;
  const rows = await db
    .selectFrom('build_audit')
    .select('status')
    .where('project_id', '=', projectId)
    .orderBy('id')
    .execute();
  return rows.map(({ status }) => status);
};
const publicIds = (ids: readonly string[]) => ids.map((id) => toPublicId('build', id));

test('a filter by a label looks only at builds that have labels', async () => {
  const labelled = filterBuilds(stack.orchestrator.db.selectFrom('build_audit').select('id'), {
    labels: [{ key: 'a', value: 'b' }],
  });
  const plan = await stack.orchestrator.db.transaction().execute(async (trx) => {
    // Of so few rows the planner would rather read all.
    for (const way of ['seqscan', 'indexscan']) await sql.raw(`set local enable_${way} = off`).execute(trx);
    return sql`explain (${labelled})`.execute(trx);
  });
  expect(JSON.stringify(plan.rows)).toContain('build_audit_labels');
});

test('cancels what a filter names and nothing else; a dry run changes nothing', async () => {
  const { id } = await stack.createProject();
  const [running = ''] = await start(id, 1, {});
  await claimByHand(stack, await registerByHand(stack));
  const [pushing = ''] = await start(id, 1);
  const { db } = stack.orchestrator;
  await db.updateTable('build_audit').set({ push_intent_sha: 'c0ffee' }).where('id', '=', pushing).execute();
  const waiting = await start(id, 3);
  const [labelled = ''] = await start(id, 1, { ...LATER, labels: [{ key: 'a', value: 'b' }] });
  const projectId = toPublicId('project', id);
  const one = await change(CANCEL, { filter: { projectId, label: [{ key: 'a', value: 'b' }] }, reason: 'one' });
  expect(one).toMatchObject({ matched: 1, changed: 1, ids: publicIds([labelled]), hasMore: false });
  const before = await statusOf(id);
  const skipped = [{ id: toPublicId('build', pushing), code: 'BUILD_STATE' }];
  const dry = await change(CANCEL, { filter: { projectId }, dryRun: true });
  expect(dry).toMatchObject({ dryRun: true, matched: 5, changed: 4, hasMore: false, skipped });
  expect(dry.ids.toSorted()).toEqual(publicIds([running, ...waiting]).toSorted());
  expect(await statusOf(id)).toEqual(before);
  const part = await change(CANCEL, { filter: { projectId }, reason: 'enough', limit: 3 });
  expect(part).toMatchObject({ dryRun: false, matched: 3, changed: 2, hasMore: true, skipped });
  const rest = await change(CANCEL, { filter: { projectId }, reason: 'enough' });
  expect(rest).toMatchObject({ matched: 3, changed: 2, hasMore: false, skipped });
  expect(await statusOf(id)).toEqual(['RUNNING', 'PENDING', ...Array(4).fill('CANCELLED')]);
  const row = await db.selectFrom('build_audit').selectAll().where('id', '=', running).executeTakeFirstOrThrow();
  expect(row).toMatchObject({ cancel_reason: 'enough', cancel_requested_at: expect.any(Date) });
  const audit = await db
    .selectFrom('audit_log')
    .select('action')
    .where('subject_id', '=', waiting[0] ?? '')
    .execute();
  expect(audit.map(({ action }) => action)).toEqual(['startBuild', 'cancelBuilds']);
});

test('a token changes nothing of other projects, and nobody all of them by mistake', async () => {
  const { id } = await stack.createProject();
  const { id: other } = await stack.createProject();
  await start(id, 1);
  expect(await change(CANCEL, { filter: { status: ['PENDING'] } }, [other])).toMatchObject({ matched: 0 });
  expect(await statusOf(id)).toEqual(['PENDING']);
  const issues = [{ path: ['input', 'filter'], message: 'must have at least one member' }];
  expect(await change(CANCEL, { filter: {} })).toEqual({ issues });
  expect(await change(RETRY, { filter: { status: null } })).toEqual({ issues });
  const limit = await change(CANCEL, { filter: { status: ['PENDING'] }, limit: 1_001 });
  expect(limit).toMatchObject({ issues: [{ path: ['input', 'limit'] }] });
});

test('retries what has failed, once, and says what it left', async () => {
  const { id } = await stack.createProject();
  const projectId = toPublicId('project', id);
  const builds = await start(id, 5);
  for (const build of builds.slice(0, 3)) await finish(stack.orchestrator, build, FAILED);
  await finish(stack.orchestrator, builds[3] ?? '');
  const failed = publicIds(builds.slice(0, 3));
  const dry = await change(RETRY, { filter: { projectId }, dryRun: true });
  expect(dry).toEqual({
    dryRun: true,
    matched: 3,
    changed: 3,
    ids: failed,
    skipped: [],
    hasMore: false,
    startedIds: [],
  });
  // Two at the same time start each of them once.
  const calls = await Promise.all([change(RETRY, { filter: { projectId } }), change(RETRY, { filter: { projectId } })]);
  const startedIds = new Set(calls.flatMap((call) => call.startedIds));
  expect(startedIds.size).toBe(3);
  const { db } = stack.orchestrator;
  const retries = await db
    .selectFrom('build_audit')
    .select(['id', 'retry_of'])
    .where('retry_of', 'is not', null)
    .execute();
  expect(new Set(publicIds(retries.map(({ id }) => id)))).toEqual(startedIds);
  expect(retries).toHaveLength(3);
  expect(await change(RETRY, { filter: { projectId } })).toMatchObject({ matched: 0, hasMore: false });
  const sessions = await change(RETRY, { filter: { projectId, status: ['COMPLETED'] }, resumeSession: true });
  expect(sessions).toMatchObject({ matched: 1, changed: 1 });
  const [again = ''] = sessions.startedIds;
  await finish(stack.orchestrator, fromPublicId('build', again) ?? '', FAILED);
  const refused = await change(RETRY, { filter: { projectId }, resumeSession: true });
  expect(refused).toMatchObject({ changed: 0, skipped: [{ id: again, code: 'BUILD_STATE' }] });
});

test('calls that cross each other and claims wait for no lock of each other', async () => {
  const projects = await Promise.all([stack.createProject(), stack.createProject(), stack.createProject()]);
  for (const { id } of projects) await start(id, 20, {});
  const workerId = await registerByHand(stack);
  const filter = { projectIds: projects.map(({ id }) => id) };
  const claim = () => claimBuilds(stack.orchestrator, claimer(workerId), 2);
  const [, ...calls] = await Promise.all([
    claim(),
    ...[1, 2, 3].map(() => cancelBuilds(stack.orchestrator, { filter }, 'test')),
  ]);
  const changed = calls.flatMap((call) => call.changed);
  expect(changed).toHaveLength(60);
  expect(new Set(changed).size).toBe(60);
  const { db } = stack.orchestrator;
  const events = await db
    .selectFrom('build_events')
    .select('build_id')
    .where('type', '=', 'CANCEL_REQUESTED')
    .execute();
  const ours = events.filter(({ build_id }) => changed.includes(build_id));
  expect(ours).toHaveLength(60);
});
