/** Entries of many builds that come together. */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LogLine } from '../../src/agents/agent.ts';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { findBuild } from '../../src/builds/build.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { cancelBuild } from '../../src/builds/cancel-build.ts';
import { claimBuilds, giveBack } from '../../src/builds/claim-builds.ts';
import { type LedgerRow, LedgerWriter } from '../../src/builds/ledger-writer.ts';
import { PostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { rescueBuilds } from '../../src/builds/rescue-builds.ts';
import { readSpendToday } from '../../src/builds/spend.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import { openDatabase } from '../../src/database/database.ts';
import { SupersededError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { armFailpoints } from '../../src/std/failpoint.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { script } from '../support/script.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;
let workerId: string;

beforeAll(async () => {
  stack = await openTestStack();
  workerId = await registerByHand(stack);
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(() => armFailpoints([]));

/** In as many projects, in turns. */
async function claimMany(count: number, projectCount = 1, spec: object = {}) {
  const projects = [];
  while (projects.length < projectCount) projects.push((await stack.createProject()).id);
  for (let index = 0; index < count; index += 1) {
    const projectId = projects[index % projectCount] ?? '';
    await startBuild(stack.orchestrator, { projectId, spec: { prompt: script({ print: 'x' }), ...spec } }, 'test');
  }
  return { projects, builds: await claimAll(count) };
}

async function claimAll(count: number): Promise<ClaimedBuild[]> {
  const builds = await claimBuilds(stack.orchestrator, claimer(workerId), count);
  expect(builds).toHaveLength(count);
  return builds;
}

const storeOf = (build: ClaimedBuild) => new PostgresLedger(stack.orchestrator, build);
const eventsOf = async ({ id }: ClaimedBuild) =>
  readEvents(stack.orchestrator.db, { buildId: id, after: 0, limit: 1_000 });
const typesOf = async (build: ClaimedBuild) => (await eventsOf(build)).map(({ type }) => type);
const progress = (message: string) => ({ changes: { events: [{ type: 'PROGRESS', data: { message } }] } }) as const;
const done = { conclusion: { status: 'COMPLETED', result: {} } } as const;
const cancelled = { conclusion: { status: 'CANCELLED', result: {}, reason: null } } as const;
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const usageOf = (costUsd: number | null, inputTokens: number) => ({
  ...{ inputTokens, outputTokens: 1, cacheReadTokens: null, cacheWriteTokens: null, costUsd, turns: 1 },
});

async function activityOf(projectId: string) {
  const query = stack.orchestrator.db.selectFrom('project_events').selectAll().where('project_id', '=', projectId);
  return (await query.orderBy('seq').execute()).map(({ seq, build_id, build_seq }) => ({ seq, build_id, build_seq }));
}

test('each is written as if it were alone, and numbers have no gaps', async () => {
  const { projects, builds } = await claimMany(30, 3, { callbackUrl: 'http://127.0.0.1:9/' });
  const flushes = await countWrites(async () => {
    const entry = (build: ClaimedBuild, index: number) => ({
      changes: {
        phase: 'AGENT' as const,
        events: [
          { type: 'PHASE_CHANGED' as const, data: { from: 'PREPARING' as const, to: 'AGENT' as const } },
          { type: 'PROGRESS' as const, data: { message: build.id } },
        ],
        lines: [{ stream: 'stdout' as const, text: `${index} of ${build.id}` }],
        checkpoint: { sessionId: build.id },
        baseSha: index % 2 === 0 ? null : 'b'.repeat(40),
        usage: usageOf(index % 3 === 0 ? null : 0.25, 10),
      },
    });
    await Promise.all(builds.map((build, index) => storeOf(build).commit(1, 'WRITE', entry(build, index))));
    const more = { changes: { usage: usageOf(0.5, 15), pushedSha: 'c'.repeat(40) } };
    const intent = { commit: { sha: 'c'.repeat(40), branch: 'main', expected: null, filesChanged: [] } };
    await Promise.all(
      builds.map((build) => storeOf(build).commit(2, 'PUSH_INTENT', { ...intent, pack: Buffer.from('x') })),
    );
    await Promise.all(builds.map((build) => storeOf(build).commit(3, 'WRITE', more)));
    await Promise.all(builds.map((build) => storeOf(build).commit(4, 'FINISH', done)));
  });
  expect(flushes).toBeLessThan(15);
  for (const [index, build] of builds.entries()) {
    expect(await findBuild(stack.orchestrator.db, build.id)).toMatchObject({
      status: 'COMPLETED',
      phase: 'DONE',
      baseSha: index % 2 === 0 ? null : 'b'.repeat(40),
      lastLine: 1,
      result: { success: true, usage: { costUsd: 0.5, inputTokens: 15 } },
    });
    const types = ['QUEUED', 'STARTED', 'PHASE_CHANGED', 'PHASE_CHANGED', 'PROGRESS', 'FINISHED'];
    expect((await eventsOf(build)).map(({ type, seq }) => ({ type, seq }))).toEqual(
      types.map((type, at) => ({ type, seq: at + 1 })),
    );
    const [chunk] = await readLog(stack.orchestrator.db, { buildId: build.id, after: 0, limit: 2 });
    expect(chunk?.lines.map(({ text }) => text)).toEqual([`${index} of ${build.id}`]);
  }
  for (const projectId of projects) {
    const activity = await activityOf(projectId);
    expect(activity.map(({ seq }) => seq)).toEqual(numbers(10 * 5));
    expect(new Set(activity.map(({ build_id, build_seq }) => `${build_id} ${build_seq}`)).size).toBe(50);
  }
  const [spend] = (await readSpendToday(stack.orchestrator.db, projects)).values();
  // Every third build had no price for its first 11 tokens; of the others 5 more have cost as much again.
  expect(spend).toEqual({ costUsd: 5, tokens: 160, unpricedTokens: 110 });
  const { db } = stack.orchestrator;
  for (const table of ['intended_commits', 'queue_items'] as const) {
    expect((await sql`select from ${sql.table(table)}`.execute(db)).rows).toEqual([]);
  }
  expect(await db.selectFrom('deliveries').select('build_id').execute()).toHaveLength(30);
  const outcomes = await db.selectFrom('build_attempts').select('outcome').where('ended_at', 'is not', null).execute();
  expect(outcomes).toEqual(builds.map(() => ({ outcome: 'FINISHED' })));
});

/** Commits of our writer: each of them renews what a trigger sees once for each statement. */
async function countWrites(work: () => Promise<void>): Promise<number> {
  const { db } = stack.orchestrator;
  await sql`create sequence ledger_flushes`.execute(db);
  await sql`create function count_flush() returns trigger language plpgsql as
    $$ begin perform nextval('ledger_flushes'); return null; end $$`.execute(db);
  await sql`create trigger count_flush after insert on build_events for each statement execute function count_flush()`.execute(
    db,
  );
  await work();
  const { rows } = await sql<{ count: number }>`select nextval('ledger_flushes') as count`.execute(db);
  await sql`drop trigger count_flush on build_events`.execute(db);
  return (rows[0]?.count ?? 0) - 1;
}

test('one that the database refuses fails alone, and leaves its number free', async () => {
  const { builds } = await claimMany(5);
  const [, , poisoned] = builds;
  const entry = (build: ClaimedBuild) => progress(build === poisoned ? 'not \0 text' : 'text');
  const ends = await Promise.allSettled(builds.map((build) => storeOf(build).commit(1, 'WRITE', entry(build))));
  expect(ends.map(({ status }) => status)).toEqual(
    builds.map((build) => (build === poisoned ? 'rejected' : 'fulfilled')),
  );
  await Promise.all(builds.map((build) => storeOf(build).commit(build === poisoned ? 1 : 2, 'FINISH', done)));
  for (const build of builds) {
    const said = build === poisoned ? [] : ['PROGRESS'];
    expect(await typesOf(build)).toEqual(['QUEUED', 'STARTED', 'PHASE_CHANGED', ...said, 'FINISHED']);
  }
});

test('of two attempts of one build, and of an entry that comes twice, one is written', async () => {
  const { builds } = await claimMany(2);
  await rescueBuilds(stack.orchestrator, { workers: [workerId] });
  const again = await claimAll(2);
  const all = [...builds, ...again, ...again, ...builds];
  const ends = await Promise.allSettled(
    all.map((build) => storeOf(build).commit(1, 'WRITE', progress(`of attempt ${build.attemptNo}`))),
  );
  const refused = ends.map((end) => end.status === 'rejected' && end.reason instanceof SupersededError);
  expect(refused).toEqual(all.map(({ attemptNo }) => attemptNo === 1));
  await Promise.all([...again, ...again].map((build) => storeOf(build).commit(2, 'FINISH', done)));
  for (const build of again) {
    const told = (await eventsOf(build)).slice(-2).map(({ type, data }) => ({ type, data }));
    expect(told[0]).toEqual({ type: 'PROGRESS', data: { message: 'of attempt 2' } });
    expect((await typesOf(build)).filter((type) => type === 'PROGRESS' || type === 'FINISHED')).toHaveLength(2);
  }
});

test('a row that somebody holds holds up no other entry', async () => {
  const { builds } = await claimMany(4);
  const [held, ...others] = builds;
  if (!held) throw new Error('no build');
  let late: Promise<null> | null = null;
  await stack.orchestrator.db.transaction().execute(async (trx) => {
    await trx.selectFrom('build_audit').select('id').where('id', '=', held.id).forUpdate().execute();
    const written = builds.map((build) => storeOf(build).commit(1, 'WRITE', progress('x')));
    late = written[0] ?? null;
    await Promise.all(written.slice(1));
    await Promise.all(others.map((build) => storeOf(build).commit(2, 'FINISH', done)));
    expect(await typesOf(held)).not.toContain('PROGRESS');
  });
  await late;
  await storeOf(held).commit(2, 'FINISH', done);
  expect(await typesOf(held)).toEqual(['QUEUED', 'STARTED', 'PHASE_CHANGED', 'PROGRESS', 'FINISHED']);
});

test.each([
  { point: 'ledger.committed', kind: 'reset', pass: 3 },
  { point: 'ledger.written', kind: 'reset', pass: 3 },
  { point: 'finish.written', kind: 'reset', pass: 2 },
] as const)('answers that are lost at $point are given again, and nothing is written twice', async (fault) => {
  const { projects, builds } = await claimMany(4);
  armFailpoints([{ point: fault.point, fault: { kind: fault.kind }, pass: fault.pass }]);
  await Promise.all(builds.map((build) => storeOf(build).commit(1, 'WRITE', { changes: { usage: usageOf(1, 1) } })));
  await Promise.all(builds.map((build) => storeOf(build).commit(2, 'FINISH', done)));
  for (const build of builds) {
    expect(await typesOf(build)).toEqual(['QUEUED', 'STARTED', 'PHASE_CHANGED', 'FINISHED']);
  }
  const [spend] = (await readSpendToday(stack.orchestrator.db, projects)).values();
  expect(spend).toMatchObject({ costUsd: 4, tokens: 8 });
});

test('a success gives its place to what waits, with its commit: once, to nobody else, and it waits for a claim at most', async () => {
  const { orchestrator } = stack;
  const { db, places } = orchestrator;
  const { projects, builds } = await claimMany(12, 2);
  for (let n = 0; n < 8; n += 1) {
    const spec = { prompt: script({ print: 'x' }) };
    await startBuild(orchestrator, { projectId: projects[n % 2] ?? '', spec }, 'test');
  }
  const kept = { count: 0, released: 0, given: [] as string[], more: [] as unknown[] };
  const off = places.serve(async (ending) => ({
    claimer: claimer(workerId),
    count: kept.count,
    ending,
    release: ({ claimed, more }) => {
      kept.released += 1;
      kept.given.push(...claimed.map(({ id }) => id));
      kept.more.push(more);
    },
  }));
  const take = () => ({ given: kept.given.splice(0), more: kept.more.splice(0) });
  const end = (some: readonly (ClaimedBuild | undefined)[], number = 1) =>
    Promise.allSettled(some.map((build) => build && storeOf(build).commit(number, 'FINISH', done)));
  try {
    // Another end than success may have left what must be cleaned up before the next one: a full disk.
    await storeOf(builds[8] as ClaimedBuild).commit(1, 'FINISH', cancelled);
    expect([take(), kept.released]).toEqual([{ given: [], more: [] }, 0]);

    await end(builds.slice(0, 2));
    const first = take();
    expect(first).toEqual({ given: [expect.any(String), expect.any(String)], more: [true] });
    for (const id of first.given) expect(await findBuild(db, id)).toMatchObject({ status: 'RUNNING', workerId });
    const commits = await sql`
      select distinct xmin::text from build_events where (type = 'STARTED' and build_id = any(${first.given}))
          or (type = 'FINISHED' and build_id = any(${builds.slice(0, 2).map(({ id }) => id)}))`.execute(db);
    expect(commits.rows).toHaveLength(1);

    // One that was written before, and one whose attempt is over, leave no place.
    await end(builds.slice(0, 2));
    const [, , lost] = builds as [ClaimedBuild, ClaimedBuild, ClaimedBuild];
    await giveBack(orchestrator, workerId, { buildId: lost.id, attemptNo: 1 });
    expect(await end([lost])).toMatchObject([{ status: 'rejected' }]);
    expect(take()).toEqual({ given: [], more: [null, null] });

    // Nor does one while another of the worker's is still being cleaned up.
    kept.count = -1;
    await end([builds[3]]);
    expect(take()).toEqual({ given: [], more: [null] });
    kept.count = 0;

    // The queue is being changed; the worker is being told something.
    for (const [index, held] of [
      sql`select from queue_state for update`,
      sql`select from workers where id = ${workerId} for update`,
    ].entries())
      await db.transaction().execute(async (trx) => {
        await held.execute(trx);
        expect(await end([builds[4 + index]])).toMatchObject([{ status: 'fulfilled' }]);
      });
    expect(take()).toEqual({ given: [], more: [null, null] });

    // Another claim is on its way. It is over sooner than the worker would have asked again.
    const locked = sql`select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'and_claim'`;
    let behind: string[] = [];
    for (const build of builds.slice(9)) {
      let ended: Promise<unknown> | null = null;
      await db.transaction().execute(async (trx) => {
        await sql`select from queue_state for update`.execute(trx);
        ended = end([build]);
        await waitFor(async () => kept.more[0] === null || (await locked.execute(db)).rows[0], {
          ...{ everyMs: 1, what: 'the end' },
        });
      });
      await ended;
      behind = take().given;
      if (behind.length > 0) break;
    }
    expect(behind).toEqual([expect.any(String)]);

    // Who waits for a build keeps no place meanwhile, and leaves none to this worker.
    const { released } = kept;
    let late: Promise<unknown> | null = null;
    await db.transaction().execute(async (trx) => {
      await sql`select from build_audit where id = ${builds[6]?.id} for update`.execute(trx);
      late = end([builds[6]]);
      await waitFor(() => kept.released > released, { what: 'the places' });
    });
    await late;
    expect(take()).toEqual({ given: [], more: [null] });

    // A commit that fails has given nothing, and one whose answer is lost gives once.
    armFailpoints([{ point: 'ledger.written', fault: { kind: 'reset' }, pass: 1 }]);
    await end([builds[7]]);
    const last = take();
    expect(last).toEqual({ given: [expect.any(String)], more: [null, true] });
    const rest = await claimBuilds(orchestrator, claimer(workerId), 100);
    const all = [...first.given, ...behind, ...last.given, ...rest.map(({ id }) => id)];
    expect([all.length, new Set(all).size]).toEqual([9, 9]);
    expect(await sql`select * from queue_check()`.execute(db)).toMatchObject({ rows: [] });
  } finally {
    off();
  }
});

test('writers of several processes and cancellations never wait for each other in a circle', async () => {
  const { projects, builds } = await claimMany(24, 4);
  const { db } = stack.orchestrator;
  const before = await countDeadlocks();
  {
    await using opened = new AsyncDisposableStack();
    const writers = Array.from({ length: 3 }, (_, index) => {
      const { logger } = stack.orchestrator;
      const pool = openDatabase({ url: stack.databaseUrl, poolSize: 4, name: `writer ${index}`, logger });
      opened.defer(() => pool.destroy());
      return opened.use(new LedgerWriter({ ...stack.orchestrator, db: pool }));
    });
    const rounds = numbers(12).map((number) => (shift: number) => {
      const turned = builds.map((_, index) => builds[(index * 7 + shift) % builds.length] as ClaimedBuild);
      return Promise.all(
        turned.map(({ id, attemptNo }, index) => {
          const events = [{ type: 'PHASE_CHANGED', data: { from: 'AGENT', to: 'AGENT' } }] as const;
          const content = { write: { events, usage: usageOf(number, number) } };
          const row: LedgerRow = { buildId: id, attemptNo, number, content };
          return writers[(index + shift) % writers.length]?.write(row);
        }),
      );
    });
    for (const [index, round] of rounds.entries()) {
      const others = builds
        .slice(index * 2, index * 2 + 2)
        .map(({ id }) => cancelBuild(stack.orchestrator, { id }, 'x'));
      await Promise.all([round(index), ...others]);
    }
  }
  expect(await countDeadlocks()).toBe(before);
  const { rows } = await sql<{ count: number }>`
    select count(*) from build_audit where id = any(${builds.map(({ id }) => id)}::uuid[]) and ledger_no = 12`.execute(
    db,
  );
  expect(rows).toEqual([{ count: 24 }]);
  for (const projectId of projects) {
    const activity = await activityOf(projectId);
    expect(activity.map(({ seq }) => seq)).toEqual(numbers(activity.length));
    expect(activity.length).toBeGreaterThan(6 * 12);
  }

  async function countDeadlocks() {
    const { rows: found } = await sql<{ deadlocks: number }>`
      select deadlocks, pg_stat_force_next_flush() from pg_stat_database where datname = current_database()`.execute(
      db,
    );
    return found[0]?.deadlocks;
  }
});

test('logs that are written together are each what was printed, of any size, and where statements wait for a connection', async () => {
  const { builds } = await claimMany(4);
  const { db } = stack.orchestrator;
  await using writer = new LedgerWriter(stack.orchestrator);
  // Of text that zstd leaves as it is: several parts of a chunk.
  const printed = builds.map((_build, index) => [3_000, 4, 5_000].map((count) => hexLines(count * (1 + index))));
  const write = async ({ id, attemptNo }: ClaimedBuild, number: number, lines: readonly LogLine[] = []) => {
    const log = { lineCount: lines.length, content: await writer.encodeLog(lines), at: new Date() };
    return () => writer.write({ buildId: id, attemptNo, number, content: { write: { log } } });
  };
  for (const number of [1, 2, 3]) {
    const writes = await Promise.all(builds.map((build, at) => write(build, number, printed[at]?.[number - 1])));
    const free = Promise.withResolvers<void>();
    const holders = Array.from({ length: 50 }, () => db.connection().execute(() => free.promise));
    const written: Promise<unknown>[] = [];
    // Each half is a statement, of which one waits while the other is made.
    for (const half of [writes.slice(0, 2), writes.slice(2)]) {
      written.push(...half.map((send) => send()));
      for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    }
    free.resolve();
    await Promise.all([...holders, ...written]);
  }
  for (const [index, { id: buildId }] of builds.entries()) {
    const chunks = await readLog(db, { buildId, after: 0, limit: 10 });
    expect(chunks.flatMap(({ lines }) => lines.map(({ text }) => text))).toEqual(
      printed[index]?.flat().map(({ text }) => text),
    );
  }
  await Promise.all(builds.map((build) => storeOf(build).commit(4, 'FINISH', done)));
});

function hexLines(count: number): LogLine[] {
  const hex = randomBytes(50 * count).toString('hex');
  return Array.from({ length: count }, (_, n) => ({ stream: 'stdout', text: hex.slice(100 * n, 100 * n + 100) }));
}
