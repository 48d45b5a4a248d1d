/** The oracle of the queue: nothing in a good run; broken promises in rows that were tampered with, and in a claim that is broken. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import { callbackSecret } from '../../src/credentials/callback-secret.ts';
import type { Database } from '../../src/database/database.ts';
import type { Project } from '../../src/projects/project.ts';
import { createSchedule } from '../../src/schedules/change-schedule.ts';
import { fireSchedule } from '../../src/schedules/fire-schedule.ts';
import { cancelTask } from '../../src/tasks/change-task.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import type { EnqueueTaskInput } from '../../src/tasks/task-input.ts';
import { setTaskType } from '../../src/tasks/task-type.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../../src/tasks/work-on-task.ts';
import { openReceiver } from '../callbacks/receiver.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';
import { type History, Recorder, recordDelivery } from './history.ts';
import { type Evidence, judge } from './oracle.ts';
import type { PromiseName } from './promises.ts';
import { watchQueue } from './queue-watch.ts';
import { answered, type TaskHistory, type TaskWord } from './task-history.ts';

let opened: AsyncDisposableStack;
let stack: TestStack;
let project: Project;
let recorder: Recorder;
let evidence: Evidence;
/** UUIDs. */
let done: string;
let failed: string;

beforeAll(async () => {
  opened = new AsyncDisposableStack();
  stack = opened.use(await openTestStack());
  const { orchestrator } = stack;
  const { db } = orchestrator;
  await watchQueue(db);
  recorder = new Recorder();
  project = await stack.createProject();
  await setTaskType(orchestrator, { projectId: project.id, name: 'chore', schema: {} }, 'test');
  const secret = callbackSecret(orchestrator.keyring, { projectId: project.id, version: project.secretVersion });
  const receiver = opened.use(
    await openReceiver({
      answer: (response, { headers, body }) => {
        recordDelivery(recorder, { headers, body, accepted: true, secretOf: () => secret });
        response.end();
      },
    }),
  );
  done = await enqueue('done', { callbackUrl: receiver.url });
  await work('HEARTBEAT', 'RELEASE');
  await work('HEARTBEAT', 'COMPLETE');
  failed = await enqueue('failed', { retry: { maxAttempts: 2, backoffSeconds: 0 } });
  await work('FAIL');
  await work('FAIL');
  const cancelled = await enqueue('cancelled');
  await cancelTask(orchestrator, { id: cancelled }, 'test');
  recorder.tasks.cancelled.push(cancelled);
  await fireLate('all', 'ALL', '@hourly');
  await fireLate('none', 'NONE', '@yearly');
  opened.use(new CallbackDelivery(orchestrator)).open();
  const isReported = async () =>
    (await db.selectFrom('deliveries').select('status').execute())[0]?.status === 'DELIVERED';
  await waitFor(isReported, { what: 'the callback' });
  evidence = {
    ...{ db, history: recorder.history, remotes: new Map(), secrets: [], folders: [] },
    faultEndedAt: new Date(),
  };
});

afterAll(() => opened.disposeAsync());

async function enqueue(idempotencyKey: string, more: Partial<EnqueueTaskInput> = {}): Promise<string> {
  const asked = { projectId: project.id, idempotencyKey };
  recorder.tasks.asked(asked);
  const task = { type: 'chore', payload: null, ...more };
  const { id } = (await enqueueTask(stack.orchestrator, { ...asked, task }, 'test')).task;
  recorder.tasks.accepted.push({ ...asked, taskId: id });
  return id;
}

/** Claims the next task, and says these words of it. */
async function work(...words: TaskWord['word'][]): Promise<void> {
  const { orchestrator } = stack;
  const claim = () =>
    orchestrator.desk.claim({ claimant: 'test', workerName: 'w', types: ['chore'], projectIds: null, waitSeconds: 5 });
  const [task] = await claim();
  if (!task) throw new Error('there is no task');
  const { id, leaseToken, attemptNo: attempt, leaseSeconds } = task;
  recorder.tasks.claims.push({ taskId: id, leaseToken, attempt, leaseSeconds, at: Date.now() });
  const say = {
    HEARTBEAT: () => heartbeatTask(orchestrator, { id, leaseToken }),
    COMPLETE: () => completeTask(orchestrator, { id, leaseToken, result: { made: 1 } }),
    FAIL: () => failTask(orchestrator, { id, leaseToken, reason: 'as asked' }),
    RELEASE: () => releaseTask(orchestrator, { id, leaseToken }),
  };
  for (const word of words) {
    const result = word === 'COMPLETE' ? { made: 1 } : null;
    const said = recorder.tasks.says({ taskId: id, leaseToken, word, result });
    await say[word]();
    answered(said, true);
  }
}

/** As if it had been due for two hours and a half, and nobody had been there. */
async function fireLate(name: string, catchUp: 'ALL' | 'NONE', cron: string): Promise<void> {
  const { orchestrator } = stack;
  const rule = {
    projectId: project.id,
    name,
    cron,
    spec: { prompt: 'x' },
    overlap: 'QUEUE',
    catchUp,
  } as const;
  const { id } = await createSchedule(orchestrator, rule, 'test');
  await orchestrator.db.transaction().execute(async (trx) => {
    const at = sql<Date>`date_trunc('hour', now()) - interval '2 hours'`;
    await trx.updateTable('schedules').set({ next_run_at: at }).where('id', '=', id).execute();
    await orchestrator.queue.schedules.put(trx, id, new Date(0));
  });
  await fireSchedule(orchestrator);
  const builds = orchestrator.db.selectFrom('build_audit').select('id').where('schedule_id', '=', id);
  for (const build of await builds.execute()) await cancelBuild(orchestrator, { id: build.id }, 'test');
}

async function broken(changes: Partial<Evidence> = {}): Promise<PromiseName[]> {
  const { violations } = await judge({ ...evidence, ...changes });
  return [...new Set(violations.map(({ promise }) => promise))];
}

const ROLLED_BACK = new Error('rolled back');

/** What this gives; afterwards it has never been. */
async function undone<T>(work: (db: Database) => Promise<T>): Promise<T> {
  const results: T[] = [];
  const transaction = stack.orchestrator.db.transaction().execute(async (db) => {
    results.push(await work(db));
    throw ROLLED_BACK;
  });
  await expect(transaction).rejects.toBe(ROLLED_BACK);
  return results[0] as T;
}

const brokenBy = (...statements: readonly string[]) =>
  undone(async (db) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
    return broken({ db });
  });

const tasks = (changes: Partial<TaskHistory>): Partial<Evidence> => {
  const { history } = evidence;
  const { accepted, unanswered, cancelled, claims, words } = history.tasks;
  const all = { accepted, unanswered, cancelled, claims, words };
  return { history: { ...history, tasks: { ...all, ...changes } } satisfies History };
};

test('a good run breaks no promise', async () => {
  const { violations, counts } = await judge(evidence);
  expect(violations).toEqual([]);
  expect(counts).toMatchObject({
    ...{ tasks: 3, tasksByStatus: { COMPLETED: 1, FAILED: 1, CANCELLED: 1 }, taskAttempts: 4, claims: 4 },
    ...{ builds: 3, fires: 2, passedOver: 1, deliveries: 1 },
  });
});

const event = (task: string, type: string, attempt: number) => [
  `insert into task_events (task_id, seq, attempt_no, type, at, data)
    select id, last_seq + 1, ${attempt}, '${type}', now(), '{}' from tasks where id = '${task}'`,
  `update tasks set last_seq = last_seq + 1 where id = '${task}'`,
];
const add = (kind: string) =>
  `select queue_add(id, '${kind}', project_id, '{}', '', '', 0, now(), now()) from tasks where id = '${done}'`;

test.each([
  [
    'a task that does not end',
    () => [`update tasks set status = 'PENDING', finished_at = null where id = '${done}'`],
    'tasks',
  ],
  ['an event behind the end', () => event(done, 'PROGRESS', 2), 'tasks'],
  ['a second end', () => event(failed, 'FINISHED', 2), 'tasks'],
  ['a claim after the end', () => event(failed, 'CLAIMED', 3), 'tasks'],
  [
    'an event of a lease that has ended',
    () => [`update task_events set attempt_no = 1 where task_id = '${done}' and type = 'FINISHED'`],
    'tasks',
  ],
  ['a gap in its events', () => [`delete from task_events where task_id = '${done}' and seq = 2`], 'tasks'],
  ['more attempts than are allowed', () => [`update tasks set max_attempts = 1 where id = '${failed}'`], 'tasks'],
  [
    'another result than was acknowledged',
    () => [`update tasks set result = '{"made": 2}' where id = '${done}'`],
    'tasks',
  ],
  [
    'a result of another lease',
    () => [`update tasks set ended_lease = gen_random_uuid() where id = '${done}'`],
    'tasks',
  ],
  [
    'a second task of a key',
    () => [
      'alter table tasks drop constraint tasks_project_id_idempotency_key_key',
      `update tasks set idempotency_key = 'done' where id = '${failed}'`,
    ],
    'tasks',
  ],
  ['a task that is not reported', () => ['delete from delivery_attempts', 'delete from deliveries'], 'callbacks'],
  ['a counter that is wrong', () => ['update queue_state set running = running + 1'], 'queue'],
  ['a place of what has ended', () => [add('task:chore')], 'queue'],
  [
    'a build that waits nowhere',
    () => [`update build_audit set status = 'PENDING', finished_at = null, result = null, phase = 'QUEUED'`],
    'queue',
  ],
  ['a claim that nobody has checked', () => ['delete from oracle_claims where attempt_no = 2'], 'limits'],
  [
    'a build that is taken from a worker that lives',
    () => [
      `insert into workers (id, name, host, process, version, capacity) select gen_random_uuid(), 'w', 'w', '', '1', 1`,
      `update build_audit set status = 'RUNNING', phase = 'PREPARING', attempt_no = 1, finished_at = null, result = null,
              failure = null, started_at = now(), lease_until = now(), worker_id = (select id from workers limit 1)
        where id = (select id from build_audit limit 1)`,
      `update build_audit set attempt_no = 2 where status = 'RUNNING'`,
    ],
    'limits',
  ],
  [
    'a due time without a build',
    () => [
      `update build_audit set schedule_id = null, scheduled_for = null
        where id = (select id from build_audit where schedule_id is not null limit 1)`,
    ],
    'schedules',
  ],
  [
    'a build at another time',
    () => [
      `update build_audit set scheduled_for = scheduled_for + interval '1 second'
        where id = (select id from build_audit where schedule_id is not null limit 1)`,
    ],
    'schedules',
  ],
  [
    'two builds for one time',
    () => [
      'drop index build_audit_scheduled_for',
      'update build_audit set scheduled_for = (select min(scheduled_for) from build_audit)',
    ],
    'schedules',
  ],
  ['a time that was passed over without a word', () => ['update oracle_moves set noted = null'], 'schedules'],
  [
    'a schedule that is not fired',
    () => [`update schedules set next_run_at = now() - interval '1 minute' where name = 'all'`],
    'schedules',
  ],
] satisfies [string, () => readonly string[], PromiseName][])('%s', async (_name, statements, promise) => {
  expect(await brokenBy(...statements())).toContain(promise);
});

test('what claimants and clients were told', async () => {
  const { accepted, claims, words } = evidence.history.tasks;
  const gone = { projectId: project.id, idempotencyKey: 'gone', taskId: crypto.randomUUID() };
  const completion = words.find(({ word }) => word === 'COMPLETE') as TaskWord;
  const beat = words.find(({ word }) => word === 'HEARTBEAT') as TaskWord;
  const late = { ...beat, firstSentAt: Date.now() + 3_600_000 };
  const other = { ...completion, leaseToken: crypto.randomUUID() };
  const cases: [string, Partial<TaskHistory>][] = [
    ['lost', { accepted: [...accepted, gone] }],
    ['nobody asked for them', { accepted: [] }],
    ['one attempt given out twice', { claims: [...claims, ...claims.slice(0, 1)] }],
    ['a completion of a lease that nobody was given', { words: [...words, other] }],
    ['two completions', { words: [...words, { ...completion, leaseToken: claims[0]?.leaseToken ?? '' }] }],
    ['a heartbeat after the next claim', { words: [...words, late] }],
    [
      'a completion long after its lease',
      {
        words: words.map((word) =>
          word === completion
            ? { ...late, ...{ word: 'COMPLETE', leaseToken: completion.leaseToken, result: completion.result } }
            : word,
        ),
      },
    ],
    ['a cancel of what failed', { cancelled: [failed] }],
  ];
  for (const [name, changes] of cases) expect(await broken(tasks(changes)), name).toEqual(['tasks']);
  expect(await broken(tasks({ accepted: [], unanswered: accepted }))).toEqual([]);
});

const CREDENTIAL = '019a0000-0000-7000-8000-000000000001';

/** Replaces a part of a function of the queue; it must be there. */
async function mutate(db: Database, name: string, from: string, to: string): Promise<void> {
  const { rows } = await sql<{ text: string }>`
    select pg_get_functiondef(oid) as text from pg_proc where proname = ${name}`.execute(db);
  const text = rows[0]?.text ?? '';
  if (!text.includes(from)) throw new Error(`${name} has no ${from}`);
  await sql.raw(text.replaceAll(from, to)).execute(db);
}

/** Adds so many tasks of this project to the queue. */
async function addTasks(
  db: Database,
  projectId: string,
  { count, key = null }: { count: number; key?: string | null },
) {
  await sql`
    with added as (
      insert into tasks (id, project_id, type, payload, max_attempts, backoff_seconds, max_backoff_seconds, lease_seconds,
                         requested_by, concurrency_key)
      select gen_random_uuid(), ${projectId}, 'chore', 'null', 1, 0, 0, 60, 'test', ${key}::text
        from generate_series(1, ${count}::integer)
      returning id, project_id
    )
    select count(queue_add(id, 'task:chore', project_id, '{}', ${key ?? ''}, 'KEY', 0, clock_timestamp(), now())) from added`.execute(
    db,
  );
}

/** The promises that claims of so many tasks each break; each ends before the next claim if `ends`. */
async function claimAndJudge(db: Database, rounds: readonly number[], { ends = false } = {}): Promise<PromiseName[]> {
  for (const count of rounds) {
    const claimants = Array.from({ length: count }, (_, index) => `w${index}`);
    await sql`select claim_tasks(${claimants}, '{task:chore}', '{}', null)`.execute(db);
    if (!ends) continue;
    await sql`with over as (
      update tasks set status = 'CANCELLED', lease_token = null, lease_until = null, finished_at = now()
       where status = 'RUNNING' returning id) select queue_remove(id) from over`.execute(db);
  }
  const { violations } = await judge({ ...evidence, db });
  return [...new Set(violations.map(({ promise }) => promise))];
}

test.each<[string, string, [string, string, string] | null]>([
  [
    'of all',
    'select queue_limit(1)',
    ['queue_claim_ids', 'least(p_max, v_state.max_running - v_state.running)', 'p_max'],
  ],
  [
    'of a project',
    `select queue_configure('PROJECT', 1, 1, 1)`,
    ['queue_take_lane', 'least(p_left, o.max_running - o.running)', 'p_left'],
  ],
  [
    'of a key',
    `select queue_limit_key('PROJECT', 'k', 1)`,
    ['queue_take', 'running >= coalesce(max_running, (select key_limit from owner))', 'false'],
  ],
  [
    'of a credential',
    `insert into credentials (id, kind, name, target, sealed, key_id)
     values ('${CREDENTIAL}', 'MODEL_API_KEY', 'shared', 'KEY', 'x', 'k'); select queue_limit_gate('${CREDENTIAL}', 1)`,
    ['queue_refresh_gates', 'coalesce(g.running < g.max_running, true)', 'true'],
  ],
  ['of a pause', `select queue_pause(null, 'test')`, ['queue_claim_ids', 'v_state.paused_at is not null or', '']],
  ['of none', 'select queue_limit(3)', null],
])('a claim that ignores the limit %s', async (_name, limit, mutation) => {
  const seen = await undone(async (db) => {
    if (mutation) await mutate(db, ...mutation);
    await sql.raw(limit.replace('PROJECT', project.id)).execute(db);
    await addTasks(db, project.id, { count: 3, key: limit.includes('limit_key') ? 'k' : null });
    return claimAndJudge(db, [3]);
  });
  expect(seen.includes('limits')).toBe(mutation !== null);
});

test.each<[string, [string, string, string] | null]>([
  ['starves a project', ['queue_next_turn', 'order by t.turn, t.project_id', 'order by t.turn desc, t.project_id']],
  [
    'starves an item',
    ['queue_take', 'order by rank, id limit 1 for update', 'order by rank desc, id limit 1 for update'],
  ],
  ['is fair', null],
])('a claim that %s', async (_name, mutation) => {
  const second = await stack.createProject();
  const seen = await undone(async (db) => {
    if (mutation) await mutate(db, ...mutation);
    for (let count = 0; count < 25; count += 1) await addTasks(db, project.id, { count: 1 });
    await addTasks(db, second.id, { count: 25 });
    return claimAndJudge(db, Array(22).fill(1), { ends: true });
  });
  expect(seen.includes('starved')).toBe(mutation !== null);
});
