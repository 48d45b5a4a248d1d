/** The oracle itself: it finds nothing in a good run, and each broken promise in rows that were tampered with. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { ChunkEncoder } from '../../src/builds/log-chunk.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { CallbackDelivery } from '../../src/callbacks/deliver-callbacks.ts';
import { callbackSecret } from '../../src/credentials/callback-secret.ts';
import type { Database } from '../../src/database/database.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { toPublicId } from '../../src/std/public-id.ts';
import { openReceiver } from '../callbacks/receiver.ts';
import { type GitServerRepository, startGitServer } from '../support/git-server.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';
import { type History, Recorder, recordDelivery, recordWatch } from './history.ts';
import { type Evidence, judge } from './oracle.ts';
import type { PromiseName } from './promises.ts';

const run = promisify(execFile);
const PASSWORD = 'hunter2-hunter2-hunter2';

let opened: AsyncDisposableStack;
let stack: TestStack;
let repository: GitServerRepository;
let evidence: Evidence;
/** UUIDs: one that was published, one that was cancelled. */
let published: string;
let cancelled: string;

beforeAll(async () => {
  opened = new AsyncDisposableStack();
  stack = opened.use(await openTestStack());
  const git = opened.use(await startGitServer({ password: PASSWORD }));
  repository = await git.createRepository('shop');
  const recorder = new Recorder();
  const { orchestrator } = stack;
  const project = await stack.createProject({
    repositoryUrl: repository.url,
    gitCredentials: { username: 'bot', password: PASSWORD },
  });
  const secret = callbackSecret(orchestrator.keyring, { projectId: project.id, version: project.secretVersion });
  const receiver = opened.use(
    await openReceiver({
      answer: (response, { headers, body }) => {
        recordDelivery(recorder, { headers, body, accepted: true, secretOf: () => secret });
        response.end();
      },
    }),
  );
  const start = async (idempotencyKey: string) => {
    const asked = { projectId: project.id, idempotencyKey };
    recorder.asked(asked);
    const prompt = script({ print: 'hello' }, { write: { path: `${idempotencyKey}.txt`, content: 'hello\n' } });
    const spec = { prompt, callbackUrl: receiver.url };
    const { build } = await startBuild(orchestrator, { ...asked, spec }, 'test');
    recorder.accepted({ ...asked, buildId: build.id });
    return build.id;
  };
  cancelled = await start('cancelled');
  await cancelBuild(orchestrator, { id: cancelled }, 'test');
  recorder.cancelled(cancelled);
  await stack.openWorker();
  published = await start('published');
  await stack.finished(published);
  opened.use(new CallbackDelivery(orchestrator)).open();
  await waitFor(() => recorder.history.deliveries.length === 2, { what: 'both callbacks' });
  await waitFor(async () => (await undelivered(orchestrator.db)) === 0, { what: 'the notes of them' });
  for await (const _ of recordWatch(recorder, { buildId: published, events: storedEvents(published) }));
  evidence = {
    db: orchestrator.db,
    history: recorder.history,
    remotes: new Map([[project.id, repository.path]]),
    secrets: [PASSWORD],
    folders: [stack.dataFolder],
    faultEndedAt: new Date(),
  };
});

afterAll(() => opened.disposeAsync());

async function undelivered(db: Database): Promise<number> {
  const rows = await db.selectFrom('deliveries').select('id').where('status', '!=', 'DELIVERED').execute();
  return rows.length;
}

async function* storedEvents(buildId: string) {
  const events = await readEvents(stack.orchestrator.db, { buildId, after: 0, limit: 1_000 });
  for (const { seq, type } of events) yield { cursor: String(seq), type };
}

/** The promises that are broken, in the order of the verdict, each once. */
async function broken(changes: Partial<Evidence> = {}): Promise<PromiseName[]> {
  const { violations } = await judge({ ...evidence, ...changes });
  return [...new Set(violations.map(({ promise }) => promise))];
}

const ROLLED_BACK = new Error('rolled back');

/** What is broken after these statements; afterwards they have never been. */
async function brokenBy(...statements: readonly string[]): Promise<PromiseName[]> {
  let found: PromiseName[] = [];
  const work = stack.orchestrator.db.transaction().execute(async (db) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
    found = await broken({ db });
    throw ROLLED_BACK;
  });
  await expect(work).rejects.toBe(ROLLED_BACK);
  return found;
}

function changed(changes: Partial<History>): Partial<Evidence> {
  return { history: { ...evidence.history, ...changes } };
}

test('a good run breaks no promise', async () => {
  const { violations, counts } = await judge(evidence);
  expect(violations).toEqual([]);
  expect(counts).toMatchObject({
    ...{ builds: 2, byStatus: { COMPLETED: 1, CANCELLED: 1 }, attempts: 1, commits: 1 },
    ...{ deliveries: 2, subscriptions: 1, maxStuckMs: 0 },
  });
});

test('lost and doubled builds', async () => {
  const [first] = evidence.history.accepted;
  const gone = { projectId: first?.projectId ?? '', idempotencyKey: 'gone', buildId: crypto.randomUUID() };
  expect(await broken(changed({ accepted: [...evidence.history.accepted, gone] }))).toEqual(['lost']);
  expect(await broken(changed({ accepted: [] }))).toEqual(['lost']);
  expect(await broken(changed({ accepted: [], unanswered: evidence.history.accepted }))).toEqual([]);
  const twice = `insert into build_audit (id, project_id, number, source, spec, requested_by, idempotency_key, input_hash)
    select gen_random_uuid(), project_id, 99, source, spec, requested_by, idempotency_key, input_hash
      from build_audit where id = '${published}'`;
  const unique = 'drop index build_audit_idempotency_key';
  expect(await brokenBy(unique, twice)).toContain('lost');
});

test('builds that do not end', async () => {
  const waiting = `insert into build_audit (id, project_id, number, source, spec, requested_by, created_at, last_seq)
    select '${crypto.randomUUID()}', project_id, 99, source, spec - 'callbackUrl', requested_by, now(), 0
      from build_audit where id = '${published}'`;
  expect(await brokenBy(waiting)).toEqual(['stuck', 'queue']);
  const late = `update build_events set at = at + interval '26 seconds' where build_id = '${published}'
    and type in ('AGENT_ACTIVITY', 'PHASE_CHANGED', 'GIT_COMMITTED', 'GIT_PUSHED', 'FINISHED')`;
  const { violations, counts } = await tampered(late, { faultEndedAt: new Date(Date.now() - 60_000) });
  expect(violations.map(({ promise }) => promise)).toEqual(['stuck']);
  expect(counts.maxStuckMs).toBeGreaterThan(25_000);
});

async function tampered(statement: string, changes: Partial<Evidence>) {
  const verdicts: Awaited<ReturnType<typeof judge>>[] = [];
  const work = stack.orchestrator.db.transaction().execute(async (db) => {
    await sql.raw(statement).execute(db);
    verdicts.push(await judge({ ...evidence, ...changes, db }));
    throw ROLLED_BACK;
  });
  await expect(work).rejects.toBe(ROLLED_BACK);
  const [verdict] = verdicts;
  if (!verdict) throw new Error('no verdict');
  return verdict;
}

const append = (type: string, attempt: number, data = '{}') => [
  `insert into build_events (build_id, seq, attempt_no, type, at, data)
    select id, last_seq + 1, ${attempt}, '${type}', now(), '${data}' from build_audit where id = '${published}'`,
  `update build_audit set last_seq = last_seq + 1 where id = '${published}'`,
];
/** Gives the event that was FINISHED another type, and appends the end behind it. */
const insertBeforeEnd = (type: string, attempt: number, data = '{}') => [
  `update build_events set type = '${type}', attempt_no = ${attempt}, data = '${data}'
    where build_id = '${published}' and type = 'FINISHED'`,
  ...append('FINISHED', 1, '{"status": "COMPLETED"}'),
];

test.each([
  ['a second end', () => append('FINISHED', 1, '{"status": "COMPLETED"}'), 'ended'],
  ['an event behind the end', () => append('WARNING', 1), 'ended'],
  [
    'an end that is not the row’s',
    () => [`update build_events set data = '{"status": "FAILED"}' where type = 'FINISHED'`],
    'ended',
  ],
  ['an event of an earlier attempt', () => insertBeforeEnd('WARNING', 0), 'fence'],
  ['an event of an attempt that never began', () => insertBeforeEnd('WARNING', 2), 'fence'],
  ['an attempt that begins inside another', () => insertBeforeEnd('STARTED', 2), 'fence'],
  ['an event of a build that waits', () => insertBeforeEnd('RETRY_SCHEDULED', 1), 'fence'],
  [
    'a phase that was left already',
    () => insertBeforeEnd('PHASE_CHANGED', 1, '{"from":"AGENT","to":"AGENT"}'),
    'fence',
  ],
  ['a second push', () => insertBeforeEnd('GIT_PUSHED', 1), 'fence'],
  ['an attempt without a row', () => ['delete from build_attempts'], 'fence'],
  ['an attempt that stays open', () => ['update build_attempts set outcome = null, ended_at = null'], 'fence'],
  ['a log of a superseded attempt', logOfEarlierAttempt, 'fence'],
  ['a message that nobody heard', () => insertBeforeEnd('MESSAGE_SENT', 1, '{"messageId":"m"}'), 'talk'],
  ['a question that outlives its build', () => insertBeforeEnd('QUESTION_ASKED', 1, '{"questionId":"q"}'), 'talk'],
  ['a gap in the events', () => [`delete from build_events where build_id = '${published}' and seq = 3`], 'events'],
  ['an event too few', () => [`update build_audit set last_seq = last_seq + 1 where id = '${published}'`], 'events'],
  ['a gap in the log', () => ['update build_logs set first_line = first_line + 1'], 'events'],
  ['no delivery', () => ['delete from delivery_attempts', 'delete from deliveries'], 'callbacks'],
  ['another webhook-id', newDeliveryId, 'callbacks'],
  ['a delivery that is still due', () => [`update deliveries set status = 'PENDING', due_at = now()`], 'callbacks'],
  ['a cancelled build that is published', publishCancelled, 'cancelled'],
  [
    'a commit that was not intended',
    () => [`update build_audit set push_intent_sha = null, pushed_sha = null`],
    'commits',
  ],
  ['a secret in a row', () => [`update build_audit set requested_by = 'x ${PASSWORD} x'`], 'secrets'],
] satisfies [string, () => readonly string[], PromiseName][])('%s', async (_name, statements, promise) => {
  expect(await brokenBy(...statements())).toContain(promise);
});

function logOfEarlierAttempt(): string[] {
  const line = `insert into build_logs (build_id, first_line, line_count, attempt_no, at, content)
    select l.build_id, last_line + 1, 1, 0, now(), content
      from build_audit b join build_logs l on b.id = l.build_id where b.id = '${published}' and first_line = 1`;
  return [line, `update build_audit set last_line = last_line + 1 where id = '${published}'`];
}

function newDeliveryId(): string[] {
  return ['delete from delivery_attempts', 'update deliveries set id = gen_random_uuid()'];
}

function publishCancelled(): string[] {
  return [`update build_audit set push_intent_sha = 'a' where id = '${cancelled}'`];
}

test('events that a subscriber was not given, or was given twice', async () => {
  const [whole] = evidence.history.subscriptions;
  if (!whole) throw new Error('nobody has watched');
  const seen = (cursors: readonly number[], ended = true) =>
    broken(changed({ subscriptions: [{ ...whole, cursors, ended }] }));
  const { cursors } = whole;
  expect(await seen(cursors.filter((cursor) => cursor !== 3))).toEqual(['events']);
  expect(await seen([...cursors.slice(0, 3), ...cursors.slice(2)])).toEqual(['events']);
  expect(await seen(cursors.slice(0, -1))).toEqual(['events']);
  expect(await seen([...cursors, cursors.length + 1], false)).toEqual(['events']);
  expect(await seen(cursors.slice(0, 4), false)).toEqual([]);
});

test('callbacks that nobody received, or with a wrong signature', async () => {
  const { deliveries } = evidence.history;
  expect(await broken(changed({ deliveries: deliveries.slice(1) }))).toEqual(['callbacks']);
  expect(await broken(changed({ deliveries: deliveries.map((one) => ({ ...one, accepted: false })) }))).toEqual([
    'callbacks',
  ]);
  expect(await broken(changed({ deliveries: deliveries.map((one) => ({ ...one, verified: false })) }))).toEqual([
    'callbacks',
  ]);
});

test('a second commit on another branch of the remote', async () => {
  const env = { ...process.env, GIT_DIR: repository.path };
  const identity = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x', GIT_COMMITTER_NAME: 'x', GIT_COMMITTER_EMAIL: 'x' };
  const message = `again\n\nSlipway-Build: ${toPublicId('build', published)}\n`;
  const { stdout } = await run('git', ['commit-tree', 'main^{tree}', '-m', message], { env: { ...env, ...identity } });
  await run('git', ['update-ref', 'refs/heads/other', stdout.trim()], { env });
  try {
    const { violations } = await judge(evidence);
    expect(violations.map(({ promise }) => promise)).toEqual(['commits', 'commits']);
  } finally {
    await run('git', ['update-ref', '-d', 'refs/heads/other'], { env });
  }
});

test('a commit that is gone from the remote', async () => {
  const env = { ...process.env, GIT_DIR: repository.path };
  const { stdout } = await run('git', ['rev-parse', 'main'], { env });
  await run('git', ['update-ref', '-d', 'refs/heads/main'], { env });
  try {
    expect(await broken()).toEqual(['commits']);
  } finally {
    await run('git', ['update-ref', 'refs/heads/main', stdout.trim()], { env });
  }
});

test('a process that outlives its build', async () => {
  const child = spawn('sleep', ['60'], { env: { PATH: process.env.PATH, SLIPWAY_BUILD_ID: published } });
  await once(child, 'spawn');
  try {
    await waitFor(async () => (await broken()).includes('processes'), { what: 'the process to be found' });
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  expect(await broken()).toEqual([]);
});

test('a secret in a log, in a file, and among the objects of a remote', async () => {
  const lines = [{ stream: 'stdout' as const, text: `the password is ${PASSWORD}.` }];
  const content = Buffer.concat(await new ChunkEncoder().encode(lines));
  expect(await brokenBy(`update build_logs set content = '\\x${content.toString('hex')}'`)).toEqual(['secrets']);
  const encoded = Buffer.from(`bot:${PASSWORD}`).toString('base64');
  const folder = join(stack.dataFolder, 'left');
  await mkdir(folder);
  await writeFile(join(folder, 'behind'), `${'x'.repeat(100_000)}${encoded}`);
  expect(await broken()).toEqual(['secrets']);
  expect(await broken({ folders: [] })).toEqual([]);
  const child = spawn('git', ['-C', repository.path, 'hash-object', '-w', '--stdin'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  child.stdin.end(`key: ${encodeURIComponent(PASSWORD)}\n`);
  await once(child, 'close');
  expect(await broken({ folders: [] })).toEqual(['secrets']);
});
