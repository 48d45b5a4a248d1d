/** What is too old goes; what belongs to a build or a task that is not finished stays. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { dropOld, dropOldTasks, forgetUnusedEnrolments } from '../../src/database/retention.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { cancelTask, requeueTask } from '../../src/tasks/change-task.ts';
import { Api } from '../schema/api.ts';
import { addOldBuilds } from '../support/old-builds.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { checkQueue } from '../support/queue.ts';
import { TaskBench } from '../tasks/task-bench.ts';

const DAY_MS = 24 * 3_600_000;
const RETENTION = { keepEventsDays: 100, keepLogsDays: 50, keepTasksDays: 200 };

let stack: TestStack;
let projectId: string;

beforeEach(async () => {
  stack = await openTestStack();
  projectId = (await stack.createProject()).id;
});
afterEach(() => stack[Symbol.asyncDispose]());

const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS);

/** Ids of builds that have rows there, oldest first. */
async function buildsIn(table: string): Promise<string[]> {
  const { rows } = await sql<{
    id: string;
  }>`select distinct build_id as id from ${sql.table(table)} order by 1`.execute(stack.orchestrator.db);
  return rows.map((row) => row.id);
}

async function addBuild(days: number, status: 'COMPLETED' | 'PENDING' = 'COMPLETED'): Promise<string> {
  await addOldBuilds(stack.orchestrator.db, { projectId, at: daysAgo(days), count: 1, eventsEach: 3, status });
  const query = stack.orchestrator.db.selectFrom('build_audit').select('id').orderBy('number', 'desc').limit(1);
  return (await query.executeTakeFirstOrThrow()).id;
}

test('events and logs go by the age of their builds; builds stay, and those that are not finished keep all', async () => {
  const { db } = stack.orchestrator;
  const old = await addBuild(130);
  const waiting = await addBuild(115, 'PENDING');
  const middle = await addBuild(70);
  const recent = await addBuild(3);
  await sql`insert into project_events (project_id, seq, build_id, build_seq, type, at)
    values (${projectId}, 1, ${old}, 1, 'QUEUED', ${daysAgo(130)}), (${projectId}, 2, ${recent}, 1, 'QUEUED', now())`.execute(
    db,
  );

  const { dropped, problems } = await dropOld(db, RETENTION);

  expect(problems).toEqual([]);
  expect(dropped).toHaveLength(3);
  expect(await buildsIn('build_events')).toEqual([waiting, middle, recent]);
  expect(await buildsIn('build_logs')).toEqual([waiting, recent]);
  expect(await buildsIn('project_events')).toEqual([recent]);
  expect(await db.selectFrom('build_audit').select('id').execute()).toHaveLength(4);
  await sql`update build_audit set status = 'COMPLETED', phase = 'DONE', result = '{}', finished_at = now(), started_at = now()
    where id = ${waiting}`.execute(db);
  expect((await dropOld(db, RETENTION)).dropped).toHaveLength(2);
  expect(await buildsIn('build_events')).toEqual([middle, recent]);
});

test('what has no partition of its own goes row by row; 0 days keep everything', async () => {
  const { db } = stack.orchestrator;
  const old = await addBuild(130);
  const move = (to: string) => sql`with moved as (delete from build_events where build_id = ${old} returning *)
    insert into ${sql.table(to)} select * from moved`;
  await sql`create table kept (like build_events)`.execute(db);
  await move('kept').execute(db);
  await dropOld(db, RETENTION);
  await sql`insert into build_events select * from kept`.execute(db);
  expect(await buildsIn('build_events_default')).toEqual([old]);
  await dropOld(db, { keepEventsDays: 0, keepLogsDays: 0 });
  expect(await buildsIn('build_events_default')).toEqual([old]);
  await dropOld(db, RETENTION);
  expect(await buildsIn('build_events_default')).toEqual([]);
});

test('a week that somebody reads is left to the next pass', async () => {
  const { db } = stack.orchestrator;
  const old = await addBuild(130);
  await db.transaction().execute(async (trx) => {
    await sql`select from build_events where build_id = ${old}`.execute(trx);
    const { dropped, problems } = await dropOld(stack.orchestrator.controlDb, RETENTION);
    expect(dropped).toEqual([expect.stringMatching(/^build_logs_/)]);
    expect(problems).toEqual([expect.stringMatching(/^build_events_\d{4}w\d\d is in use$/)]);
  });
  expect((await dropOld(db, RETENTION)).dropped).toHaveLength(1);
});

test('whoever follows a build whose events are gone is told that there is nothing more', async () => {
  const old = await addBuild(130);
  await dropOld(stack.orchestrator.db, RETENTION);
  const api = new Api(stack.orchestrator);
  const id = toPublicId('build', old);
  for (const source of [
    `subscription { buildProgress(buildId: "${id}") { cursor } }`,
    `subscription { buildLog(buildId: "${id}") { finished } }`,
  ]) {
    const stream = await api.subscribe(source);
    if ('errors' in stream) throw new Error(JSON.stringify(stream.errors));
    const answers = await Array.fromAsync(stream);
    expect(answers.map(({ data }) => data)).toEqual(
      source.includes('buildLog') ? [{ buildLog: { finished: true } }] : [],
    );
  }
});

describe('of tasks', () => {
  /** Of each task what is kept: its events, or nothing of it. */
  async function kept(ids: readonly string[]): Promise<(number | null)[]> {
    const { rows } = await sql<{ id: string; n: number }>`
      select t.id, (select count(*)::int from task_events e where e.task_id = t.id) as n from tasks t`.execute(
      stack.orchestrator.db,
    );
    return ids.map((id) => rows.find((row) => row.id === id)?.n ?? null);
  }

  const age = (id: string, days: number) =>
    sql`update tasks set finished_at = ${daysAgo(days)} where id = ${id}`.execute(stack.orchestrator.db);

  it('events go first, then the task with its callback; what waits, or is still to be reported, stays', async () => {
    const { db } = stack.orchestrator;
    const bench = new TaskBench(stack);
    const type = await bench.newType();
    const end = async (days: number, callbackUrl: string | null = null) => {
      const { task } = await bench.enqueue(type, { callbackUrl });
      await cancelTask(stack.orchestrator, { id: task.id }, 'test');
      await age(task.id, days);
      return task.id;
    };
    const url = 'https://example.com/hook';
    const ids = [await end(3), await end(130), await end(230), await end(230, url), await end(230, url)];
    const waits = (await bench.enqueue(type)).task.id;
    const reported = ids[3] ?? '';
    await sql`update deliveries set status = 'DELIVERED', due_at = null, delivered_at = now() where task_id = ${reported}`.execute(
      db,
    );
    await sql`insert into delivery_attempts (delivery_id, attempt_no, at, duration_ms)
      select id, 1, now(), 1 from deliveries where task_id = ${reported}`.execute(db);

    expect(await dropOldTasks(db, { keepEventsDays: 0, keepTasksDays: 0 })).toEqual({ tasks: 0 });
    expect(await kept([...ids, waits])).toEqual([3, 3, 3, 3, 3, 1]);
    expect(await dropOldTasks(db, RETENTION)).toEqual({ tasks: 2 });
    expect(await kept([...ids, waits])).toEqual([3, 0, null, null, 0, 1]);
    expect(await dropOldTasks(db, { keepEventsDays: 0, keepTasksDays: 100 })).toEqual({ tasks: 1 });
    expect(await kept([...ids, waits])).toEqual([3, null, null, null, 0, 1]);
    await checkQueue(db);
  });

  it('whoever follows one whose events are gone is told so; requeued, it goes on behind them', async () => {
    const { db } = stack.orchestrator;
    const bench = new TaskBench(stack);
    const { task } = await bench.enqueue(await bench.newType());
    await cancelTask(stack.orchestrator, { id: task.id }, 'test');
    await age(task.id, 130);
    await dropOldTasks(db, RETENTION);
    const source = `subscription { taskProgress(taskId: "${toPublicId('task', task.id)}") { cursor type } }`;
    const stream = await new Api(stack.orchestrator).subscribe(source);
    if ('errors' in stream) throw new Error(JSON.stringify(stream.errors));
    expect(await Array.fromAsync(stream)).toEqual([]);

    await requeueTask(stack.orchestrator, { id: task.id }, 'test');
    await dropOldTasks(db, RETENTION);
    expect(await bench.eventsOf(task.id)).toEqual(['4 REQUEUED']);
    await cancelTask(stack.orchestrator, { id: task.id }, 'test');
    await age(task.id, 130);
    await dropOldTasks(db, RETENTION);
    expect(await bench.eventsOf(task.id)).toEqual([]);
  });

  it('a task of very many events loses them in bounded steps', async () => {
    const { db } = stack.orchestrator;
    const bench = new TaskBench(stack);
    const { task } = await bench.enqueue(await bench.newType());
    const many = JSON.stringify(Array.from({ length: 250 }, () => ({ type: 'PROGRESS', data: {} })));
    await sql`select append_task_events(${task.id}, ${many}::jsonb)`.execute(db);
    await cancelTask(stack.orchestrator, { id: task.id }, 'test');
    await age(task.id, 230);
    const left = [];
    for (let pass = 0; pass < 3; pass += 1) {
      await dropOldTasks(db, RETENTION);
      left.push(...(await kept([task.id])));
    }
    expect(left).toEqual([153, 53, null]);
  });
});

test('enrolments that nobody came with are forgotten; used ones stay', async () => {
  const { db } = stack.orchestrator;
  const add = async (days: number, tokenId: string | null = null) => {
    const id = v7();
    const expires = daysAgo(days);
    await sql`insert into worker_enrolments (id, name, hash, created_by, expires_at, used_at, nonce_hash, token_id, worker)
      values (${id}, 'w', ${Buffer.from(id)}, 'test', ${expires}, ${tokenId && expires}, ${tokenId && Buffer.from(id)},
              ${tokenId}, ${tokenId && '{}'}::jsonb)`.execute(db);
    return id;
  };
  const tokenId = v7();
  await sql`insert into api_tokens (id, name, hash, scopes, created_by)
    values (${tokenId}, 'w', ${Buffer.from(tokenId)}, '{work}', 'test')`.execute(db);
  await add(31);
  const stay = [await add(29), await add(31, tokenId)];
  await forgetUnusedEnrolments(db);
  const rows = await db.selectFrom('worker_enrolments').select('id').orderBy('id').execute();
  expect(rows.map(({ id }) => id)).toEqual(stay);
});
