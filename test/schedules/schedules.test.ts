import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { archiveProject } from '../../src/projects/change-project.ts';
import type { Project } from '../../src/projects/project.ts';
import {
  createSchedule,
  deleteSchedule,
  pauseSchedule,
  resumeSchedule,
  type ScheduleInput,
  updateSchedule,
} from '../../src/schedules/change-schedule.ts';
import { dueTimes, fireSchedule } from '../../src/schedules/fire-schedule.ts';
import { findSchedules, MAX_SCHEDULES, type Schedule } from '../../src/schedules/schedule.ts';
import { restoreScheduleJobs, Scheduler } from '../../src/schedules/scheduler.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
});
afterAll(() => stack[Symbol.asyncDispose]());

const SPEC = { prompt: 'work' };
let count = 0;

function create(project: Project, input: Partial<ScheduleInput> = {}): Promise<Schedule> {
  count += 1;
  const rule = { projectId: project.id, name: `Schedule ${count}`, cron: '@hourly', spec: SPEC, ...input };
  return createSchedule(stack.orchestrator, rule, 'test');
}

async function read({ id }: Schedule): Promise<Schedule> {
  const [schedule] = await findSchedules(stack.orchestrator.db, [id]);
  if (!schedule) throw new Error('no such schedule');
  return schedule;
}

/** As if its time had come `seconds` ago. */
async function makeDue({ id }: Schedule, seconds = 0): Promise<void> {
  const { db, queue } = stack.orchestrator;
  await db.transaction().execute(async (trx) => {
    const at = sql<Date>`date_trunc('minute', now() - make_interval(secs => ${seconds}))`;
    await trx.updateTable('schedules').set({ next_run_at: at }).where('id', '=', id).execute();
    await queue.schedules.put(trx, id, new Date(0));
  });
}

async function fireAll(): Promise<number> {
  let fired = 0;
  while (await fireSchedule(stack.orchestrator)) fired += 1;
  return fired;
}

const buildsOf = ({ id }: Schedule) =>
  stack.orchestrator.db.selectFrom('build_audit').selectAll().where('schedule_id', '=', id).orderBy('id').execute();

const jobOf = async ({ id }: Schedule): Promise<Date | null> => {
  const { rows } = await sql<{ start_after: Date }>`
    select start_after from pgboss.job where name = 'schedules' and id = ${id} and state < 'active'`.execute(
    stack.orchestrator.db,
  );
  return rows[0]?.start_after ?? null;
};

test('a schedule that is due starts a build, and is due again; a worker runs it', async () => {
  const project = await stack.createProject();
  const schedule = await create(project, { spec: { prompt: script({ write: { path: 'a', content: 'a' } }) } });
  await using scheduler = new Scheduler(stack.orchestrator);
  scheduler.open();
  await using _worker = await stack.openWorker(1);
  expect(schedule.nextRunAt?.getTime()).toBeGreaterThan(Date.now());
  expect(await jobOf(schedule)).toEqual(schedule.nextRunAt);
  await makeDue(schedule);
  const { lastBuildId } = await waitFor(async () => ((await read(schedule)).lastBuildId ? read(schedule) : null));
  expect(await stack.finished(lastBuildId ?? '')).toMatchObject({
    status: 'COMPLETED',
    source: 'SCHEDULE',
    scheduleId: schedule.id,
  });
  const after = await read(schedule);
  expect(after).toMatchObject({
    lastRunAt: expect.any(Date),
    lastError: null,
    refusals: 0,
    nextRunAt: await jobOf(schedule),
  });
  expect(after.nextRunAt?.getTime()).toBeGreaterThan(Date.now());
});

test('many processes fire each time once', async () => {
  const project = await stack.createProject();
  const schedules: Schedule[] = [];
  for (let index = 0; index < 12; index += 1) schedules.push(await create(project, { overlap: 'QUEUE' }));
  for (const schedule of schedules) await makeDue(schedule);
  await Promise.all([fireAll(), fireAll(), fireAll(), fireAll()]);
  for (const schedule of schedules) expect(await buildsOf(schedule)).toHaveLength(1);
  expect(await fireAll()).toBe(0);
});

test('a crash in the middle of it loses no run and doubles none', async () => {
  const project = await stack.createProject();
  const schedule = await create(project);
  await makeDue(schedule);
  const due = (await read(schedule)).nextRunAt;
  const { db, queue } = stack.orchestrator;
  await sql`create function die() returns trigger language plpgsql as $$ begin
    raise exception 'the connection is gone' using errcode = '57P01'; end $$`.execute(db);
  await sql`create trigger die before insert on pgboss.job for each row when (new.name = 'schedules') execute function die()`.execute(
    db,
  );
  await expect(fireSchedule(stack.orchestrator)).rejects.toThrow('the connection is gone');
  await sql`drop function die cascade`.execute(db);
  expect(await buildsOf(schedule)).toHaveLength(0);
  expect(await fireAll()).toBe(1);
  expect(await buildsOf(schedule)).toMatchObject([{ scheduled_for: due }]);
  // Whoever puts its time back gets no second build for it.
  await stack.orchestrator.db
    .updateTable('build_audit')
    .set({ schedule_id: null, scheduled_for: null })
    .where('schedule_id', '=', schedule.id)
    .execute();
  await db.transaction().execute(async (trx) => {
    await trx.updateTable('schedules').set({ next_run_at: due }).where('id', '=', schedule.id).execute();
    await queue.schedules.put(trx, schedule.id, new Date(0));
  });
  expect(await fireAll()).toBe(1);
  expect(await buildsOf(schedule)).toHaveLength(0);
  expect((await read(schedule)).lastSkippedReason).toBe('A build was started for this time already.');
});

test('a fault that nobody has foreseen keeps no other schedule from its turn', async () => {
  const project = await stack.createProject();
  const [broken, whole] = [await create(project), await create(project)];
  await makeDue(broken, 120);
  await makeDue(whole);
  await stack.orchestrator.db.updateTable('schedules').set({ cron: 'nonsense' }).where('id', '=', broken.id).execute();
  expect(await fireAll()).toBe(2);
  expect(await buildsOf(whole)).toHaveLength(1);
  expect((await read(broken)).lastError).toContain('internal error');
  expect((await jobOf(broken))?.getTime()).toBeGreaterThan(Date.now());
});

test('while a build of it waits or runs: skip, queue, or cancel', async () => {
  const project = await stack.createProject();
  const skip = await create(project, { overlap: 'SKIP_IF_RUNNING' });
  const queue = await create(project, { overlap: 'QUEUE' });
  const cancel = await create(project, { overlap: 'CANCEL_RUNNING' });
  for (const schedule of [skip, queue, cancel]) {
    await makeDue(schedule, 60);
    await fireAll();
    await makeDue(schedule);
    await fireAll();
  }
  const [first] = await buildsOf(skip);
  expect(await buildsOf(skip)).toHaveLength(1);
  expect(await read(skip)).toMatchObject({
    lastBuildId: first?.id,
    lastSkippedReason: `Build #${first?.number} was waiting or running.`,
  });
  expect((await buildsOf(queue)).map(({ status }) => status)).toEqual(['PENDING', 'PENDING']);
  const [earlier, later] = await buildsOf(cancel);
  expect(earlier).toMatchObject({ status: 'CANCELLED', superseded_by: later?.id });
  expect(later).toMatchObject({ status: 'PENDING', requested_by: expect.stringMatching(/^schedule_/) });
  await cancelBuild(stack.orchestrator, { id: first?.id ?? '' }, 'test');
  // Another minute than the first, also if one has begun since.
  await makeDue(skip, 180);
  await fireAll();
  expect(await buildsOf(skip)).toHaveLength(2);
});

test('what was missed is caught up as its rule says', async () => {
  const at = (text: string) => new Date(`2026-06-01T${text}Z`);
  const due = (catchUp: Schedule['catchUp'], now: string, catchUpSeconds = 86_400) =>
    dueTimes({ cron: '*/10 * * * *', timeZone: 'UTC', catchUp, catchUpSeconds }, at('10:00'), at(now)).map((time) =>
      time.toISOString().slice(11, 16),
    );
  expect(due('NONE', '10:00:30')).toEqual(['10:00']);
  expect(due('NONE', '10:36:00')).toEqual([]);
  expect(due('NONE', '10:44:59')).toEqual(['10:40']);
  expect(due('LATEST', '10:35:00')).toEqual(['10:30']);
  expect(due('ALL', '10:35:00')).toEqual(['10:00', '10:10', '10:20', '10:30']);
  expect(due('ALL', '10:35:00', 1_200)).toEqual(['10:20', '10:30']);
  expect(due('ALL', '20:00:00')).toHaveLength(10);
  const project = await stack.createProject();
  const all = await create(project, { cron: '* * * * *', catchUp: 'ALL', overlap: 'QUEUE' });
  const none = await create(project, { cron: '@yearly', catchUp: 'NONE' });
  await makeDue(all, 180);
  await makeDue(none, 600);
  await fireAll();
  const times = (await buildsOf(all)).map(({ scheduled_for }) => scheduled_for?.getTime() ?? 0);
  expect(times.length).toBeGreaterThanOrEqual(4);
  for (const [index, time] of times.entries()) if (index > 0) expect(time - (times[index - 1] ?? 0)).toBe(60_000);
  expect(await buildsOf(none)).toHaveLength(0);
  expect((await read(none)).lastSkippedReason).toContain('was missed');
});

test('a build that is refused is told, and after ten times in a row the schedule is paused', async () => {
  const project = await stack.createProject();
  const schedule = await create(project);
  const bad = JSON.stringify({ ...SPEC, provider: 'nobody' });
  await stack.orchestrator.db.updateTable('schedules').set({ spec: bad }).where('id', '=', schedule.id).execute();
  for (let round = 0; round < 10; round += 1) {
    expect(await read(schedule)).toMatchObject({ refusals: round, pausedAt: null });
    await makeDue(schedule);
    await fireAll();
  }
  expect(await buildsOf(schedule)).toHaveLength(0);
  const paused = await read(schedule);
  expect(paused).toMatchObject({ refusals: 10, pausedAt: expect.any(Date), nextRunAt: null });
  expect(paused.lastError).toContain('nobody');
  expect(paused.pausedReason).toContain('10 times in a row');
  expect(await jobOf(schedule)).toBeNull();
  const mended = await updateSchedule(stack.orchestrator, { id: schedule.id, changes: { spec: SPEC } }, 'test');
  expect(mended).toMatchObject({ lastError: null, nextRunAt: null });
  expect(await resumeSchedule(stack.orchestrator, schedule.id, 'test')).toMatchObject({
    refusals: 0,
    pausedReason: null,
  });
  expect(await jobOf(schedule)).not.toBeNull();
});

test('an archived project pauses its schedules; a used up budget only skips', async () => {
  const project = await stack.createProject({ settings: { budget: { perDayUsd: 1 } } });
  const schedule = await create(project);
  await stack.orchestrator.db
    .insertInto('project_spend')
    .values({ project_id: project.id, day: sql<string>`(now() at time zone 'UTC')::date`, cost_usd: '2' })
    .execute();
  await makeDue(schedule);
  await fireAll();
  expect(await read(schedule)).toMatchObject({
    refusals: 0,
    lastSkippedReason: expect.stringContaining('budget'),
    pausedAt: null,
  });
  await stack.orchestrator.db.deleteFrom('project_spend').execute();
  await archiveProject(stack.orchestrator, project.id, 'test');
  await makeDue(schedule);
  await fireAll();
  expect(await read(schedule)).toMatchObject({ pausedReason: 'Its project is archived.', nextRunAt: null });
});

test('pause, resume, change and delete: row and job agree', async () => {
  const project = await stack.createProject();
  const schedule = await create(project, { cron: '0 9 * * *', timeZone: 'Europe/Berlin' });
  const change = (changes: Parameters<typeof updateSchedule>[1]['changes']) =>
    updateSchedule(stack.orchestrator, { id: schedule.id, changes }, 'test');
  const renamed = await change({ name: 'Other', overlap: null });
  expect(renamed).toMatchObject({ name: 'Other', overlap: 'SKIP_IF_RUNNING', nextRunAt: schedule.nextRunAt });
  const moved = await change({ timeZone: 'Asia/Tokyo' });
  expect(moved.nextRunAt).not.toEqual(schedule.nextRunAt);
  expect(await jobOf(schedule)).toEqual(moved.nextRunAt);
  for (let twice = 0; twice < 2; twice += 1) {
    const paused = await pauseSchedule(stack.orchestrator, { id: schedule.id, reason: 'holiday' }, 'test');
    expect(paused).toMatchObject({ pausedReason: 'holiday', nextRunAt: null });
  }
  expect(await jobOf(schedule)).toBeNull();
  for (let twice = 0; twice < 2; twice += 1) await resumeSchedule(stack.orchestrator, schedule.id, 'test');
  expect(await jobOf(schedule)).toEqual((await read(schedule)).nextRunAt);
  await deleteSchedule(stack.orchestrator, schedule.id, 'test');
  expect(await jobOf(schedule)).toBeNull();
  await expect(change({ name: 'x' })).rejects.toThrow('There is no schedule');
  const { db } = stack.orchestrator;
  const audit = await db
    .selectFrom('audit_log')
    .select('action')
    .where('subject_id', '=', schedule.id)
    .orderBy('id')
    .execute();
  expect(audit.map(({ action }) => action)).toEqual([
    'createSchedule',
    'updateSchedule',
    'updateSchedule',
    'pauseSchedule',
    'resumeSchedule',
    'deleteSchedule',
  ]);
});

test('refuses what is wrong with all of its issues, a second one of a name, and the 101st', async () => {
  const project = await stack.createProject();
  const wrong = create(project, {
    name: ' ',
    cron: '0 0 0 * * *',
    timeZone: 'Mars/Olympus',
    catchUpSeconds: 1,
    spec: { prompt: '', runAfter: new Date() },
  });
  await expect(wrong).rejects.toMatchObject({
    issues: expect.arrayContaining(
      [['name'], ['cron'], ['timeZone'], ['catchUpSeconds'], ['spec', 'runAfter'], ['spec', 'prompt']].map((path) =>
        expect.objectContaining({ path: ['input', ...path] }),
      ),
    ),
  });
  await expect(create(project, { spec: { prompt: 'x'.repeat(200_000) } })).rejects.toThrow('128 KiB');
  const first = await create(project, { name: 'Same' });
  await expect(create(project, { name: 'Same' })).rejects.toThrow('already');
  const second = await create(project, { name: 'Second' });
  const rename = updateSchedule(stack.orchestrator, { id: second.id, changes: { name: 'Same' } }, 'test');
  await expect(rename).rejects.toThrow('already');
  const { db } = stack.orchestrator;
  await sql`insert into schedules (id, project_id, name, cron, time_zone, spec, overlap, catch_up, catch_up_seconds, paused_at, created_by)
    select gen_random_uuid(), ${project.id}, n::text, cron, time_zone, spec, overlap, catch_up, catch_up_seconds, now(), 'test'
      from schedules, generate_series(3, ${MAX_SCHEDULES}) n where id = ${first.id}`.execute(db);
  await expect(create(project)).rejects.toThrow(`${MAX_SCHEDULES} schedules`);
});

test('a job that is lost is made anew, once', async () => {
  const project = await stack.createProject();
  const schedule = await create(project);
  const paused = await create(project);
  await pauseSchedule(stack.orchestrator, { id: paused.id }, 'test');
  await sql`delete from pgboss.job where name = 'schedules' and id = ${schedule.id}`.execute(stack.orchestrator.db);
  const restored = await Promise.all([
    restoreScheduleJobs(stack.orchestrator),
    restoreScheduleJobs(stack.orchestrator),
  ]);
  expect(restored.toSorted()).toEqual([0, 1]);
  expect(await jobOf(schedule)).toEqual(schedule.nextRunAt);
  expect(await jobOf(paused)).toBeNull();
});
