/** No operation costs more statements because there are more rows. */
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertArtifacts } from '../../src/artifacts/artifact.ts';
import { retryBuild } from '../../src/builds/retry-build.ts';
import { sendMessage } from '../../src/builds/send-message.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { connectionSettings, type Database } from '../../src/database/database.ts';
import type { Tables } from '../../src/database/tables.ts';
import { createSchedule } from '../../src/schedules/change-schedule.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { askByHand, question } from '../support/ask.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { Api } from './api.ts';
import { finish } from './finish.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
});
afterAll(() => stack[Symbol.asyncDispose]());

/**
 * A project with builds that have a worker, artifacts, a callback, a message, a question and a retry each, and as many tasks
 * that have ended.
 */
async function addProject(builds: number): Promise<void> {
  const { orchestrator } = stack;
  const workerId = v7();
  const worker = { id: workerId, name: 'w', place: 'here', version: '0', capacity: 1, agents: [] };
  await registerWorker(orchestrator.db, worker);
  const labels = ['provider:scripted'];
  await orchestrator.db.updateTable('workers').set({ labels }).where('id', '=', workerId).execute();
  const { id: projectId } = await stack.createProject();
  const rule = { projectId, name: 'nightly', cron: '@yearly', spec: { prompt: 'work' } };
  const { id: scheduleId } = await createSchedule(orchestrator, rule, 'test');
  for (let count = 0; count < builds; count += 1) {
    const spec = { prompt: 'work', callbackUrl: 'http://127.0.0.1:9/' };
    const { build } = await startBuild(orchestrator, { projectId, spec }, 'test');
    await sendMessage(orchestrator, { buildId: build.id, text: 'Go on.', mode: 'QUEUE' }, 'test');
    await askByHand(stack, build.id, { kind: 'QUESTION', questions: [question('What?')] });
    await finish(orchestrator, build.id);
    const started = { worker_id: workerId, schedule_id: scheduleId, scheduled_for: new Date(count) };
    const gone = { cancel_requested_at: new Date(), superseded_by: build.id };
    await orchestrator.db
      .updateTable('build_audit')
      .set({ ...started, ...gone })
      .where('id', '=', build.id)
      .execute();
    await orchestrator.db
      .updateTable('schedules')
      .set({ last_build_id: build.id })
      .where('id', '=', scheduleId)
      .execute();
    const attempt = { build_id: build.id, attempt_no: 9, worker_id: workerId };
    await orchestrator.db.insertInto('build_attempts').values(attempt).execute();
    const artifact = { buildId: build.id, contentType: 'text/plain', sizeBytes: 1, sha256: '' };
    const files = ['a', 'b', 'c'].map((name) => ({ ...artifact, id: v7(), name }));
    await orchestrator.db.transaction().execute((trx) => insertArtifacts(trx, files));
    await retryBuild(orchestrator, { id: build.id }, 'test');
    const work = { type: 'test', payload: {}, callbackUrl: 'http://127.0.0.1:9/' };
    const { task } = await enqueueTask(orchestrator, { projectId, task: work }, 'test');
    await cancelTask(orchestrator, { id: task.id }, 'test');
  }
}

/** The statements that an operation sends. */
async function countStatements(source: string): Promise<number> {
  let statements = 0;
  const pool = new pg.Pool({ ...connectionSettings(stack.databaseUrl, 'count'), max: 4 });
  const db: Database = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: () => {
      statements += 1;
    },
  });
  await new Api({ ...stack.orchestrator, db, statsDb: db }).data(source);
  await db.destroy();
  return statements;
}

const OPERATIONS: [string, string, number][] = [
  [
    'builds with everything around them',
    `{ builds(first: 100) { totalCount nodes { id project { id name } worker { id } retryOf { id }
       callbacks { id } artifacts(first: 5) { nodes { id } } } } }`,
    6,
  ],
  [
    'builds with their events and retries',
    `{ builds(first: 50) { nodes { events(first: 5) { nodes { cursor build { id } } }
       retries(first: 5) { totalCount nodes { id } } } } }`,
    4,
  ],
  [
    'builds with why and for how long they wait',
    '{ builds(first: 100) { nodes { queuePosition estimatedStartAt waitingReason { code message } } } }',
    4,
  ],
  [
    'builds with their specs and results',
    '{ builds(first: 50) { nodes { spec { prompt model labels { key } } result { output filesChanged { path } } } } }',
    3,
  ],
  [
    'builds with what was said',
    `{ builds(first: 20) { nodes { messages { text build { id } } questions { id state } open: questions(state: OPEN) { id }
       events(first: 9) { nodes { ... on BuildQuestionAsked { question { id } } } } } } }`,
    6,
  ],
  [
    'projects with their schedules',
    `{ projects(first: 10) { nodes { schedules(first: 5) { nodes { name nextRuns(first: 2) lastBuild { id } builds(first: 2) {
       nodes { schedule { id } supersededBy { id } supersedes(first: 2) { nodes { id } } } } } } } } }`,
    6,
  ],
  [
    'schedules with their project and builds',
    `{ projects(first: 10) { nodes { schedules(first: 5) { nodes { id cron spec paused project { slug } lastSkippedReason
       lastBuild { status } builds(first: 3) { nodes { number scheduledFor schedule { name } } } } } } } }`,
    6,
  ],
  [
    'tasks and builds as tasks with everything around them',
    `{ tasks(first: 20) { nodes { id type waitingReason { code message } project { slug } labels { key } payload result build { id }
       callbacks { status attempts { at } task { id } build { id } } } } }`,
    9,
  ],
  [
    'tasks with their events',
    '{ tasks(first: 30) { nodes { attempt failure { reason } events(first: 3) { nodes { cursor type data } } } } }',
    3,
  ],
  ['figures of tasks', '{ taskStats { waiting delayed running dead } taskTypes { name project { slug } } }', 2],
  [
    'the queue by project, agent and label',
    `{ queueStats { waiting running byReason { code count } byProject(first: 50) { project { slug settings { queue { weight } } } waiting }
       byProvider { provider waiting } byLabel(key: "team") { value waiting } } queue { pausedAt maxRunning } }`,
    7,
  ],
  [
    'projects with how they wait',
    '{ projects(first: 50) { nodes { pausedAt concurrencyKeys { name running maxRunning } settings { queue { weight } } } } }',
    2,
  ],
  ['enrolments', '{ enrolmentTokens(first: 50) { nodes { name state labels createdBy } } }', 1],
  [
    'projects with their builds',
    '{ projects(first: 50) { nodes { builds(first: 10) { totalCount nodes { id } } } } }',
    3,
  ],
  ['callbacks with their tries', '{ builds(first: 50) { nodes { callbacks { attempts { at } build { id } } } } }', 3],
  [
    'workers with their builds',
    '{ workers(first: 20) { nodes { running currentBuilds(first: 10) { nodes { id } } } } }',
    3,
  ],
  [
    'workers with what they have run',
    `{ workers(first: 20) { nodes { labels history(first: 10) { nodes { outcome durationMs build { id project { slug }
       worker { id } } } } } } }`,
    5,
  ],
  ['agents', '{ agents { workers { worker { id name } version } drift { name } } }', 2],
  ['who did what', '{ auditLog(first: 50) { nodes { actorName project { slug } action } } }', 2],
  [
    'statistics with two series',
    `{ buildStats { total failed a: series(bucket: DAY) { total }
       b: series(bucket: WEEK, timeZone: "Europe/Berlin") { failed } } }`,
    7,
  ],
];

describe('the number of SQL statements', () => {
  it('does not depend on the number of rows', async () => {
    const expected = Object.fromEntries(OPERATIONS.map(([name, , statements]) => [name, statements]));
    const count = async () => {
      const counts: [string, number][] = [];
      for (const [name, source] of OPERATIONS) counts.push([name, await countStatements(source)]);
      return Object.fromEntries(counts);
    };
    await addProject(2);
    expect(await count()).toEqual(expected);
    await addProject(20);
    await addProject(3);
    expect(await count()).toEqual(expected);
  });
});
