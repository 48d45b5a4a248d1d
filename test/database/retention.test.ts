/** What is too old goes, week by week; what belongs to a build that is not finished stays. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropOld } from '../../src/database/retention.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { Api } from '../schema/api.ts';
import { addOldBuilds } from '../support/old-builds.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';

const DAY_MS = 24 * 3_600_000;
const RETENTION = { keepEventsDays: 100, keepLogsDays: 50 };

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
