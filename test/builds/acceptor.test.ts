import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { acceptBuild } from '../../src/builds/accept-build.ts';
import { findBuild } from '../../src/builds/build.ts';
import type { BuildSpecInput } from '../../src/builds/build-spec.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { DiskWatch } from '../../src/builds/full-disk.ts';
import { type NewBuild, toBuildRow } from '../../src/builds/new-build.ts';
import type { Filled } from '../../src/builds/place-offers.ts';
import { resolveSpec } from '../../src/builds/resolve-spec.ts';
import { type StartedBuild, startBuild } from '../../src/builds/start-build.ts';
import { BudgetExceededError, DiskFullError, InvalidInputError, ProjectNotReadyError } from '../../src/errors.ts';
import { readEvents } from '../../src/events/read-events.ts';
import { BUILDS_TOPIC, projectTopic } from '../../src/events/topics.ts';
import { openOrchestrator } from '../../src/orchestrator.ts';
import { archiveProject, updateProject } from '../../src/projects/change-project.ts';
import type { Project } from '../../src/projects/project.ts';
import { armFailpoints, type Failpoint } from '../../src/std/failpoint.ts';
import { claimer, registerByHand } from '../support/claim.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { waitFor } from '../support/wait-for.ts';

let stack: TestStack;

beforeAll(async () => {
  stack = await openTestStack();
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(() => armFailpoints([]));

const spec = (more: Partial<BuildSpecInput> = {}): BuildSpecInput => ({ prompt: 'work', ...more });

function start(
  { id: projectId }: Pick<Project, 'id'>,
  more: Partial<BuildSpecInput> = {},
  idempotencyKey: string | null = null,
): Promise<StartedBuild> {
  return startBuild(stack.orchestrator, { projectId, spec: spec(more), idempotencyKey }, 'test');
}

function newBuild(project: Project, prompt = 'work'): NewBuild {
  return {
    projectId: project.id,
    projectVersion: null,
    spec: { ...resolveSpec(stack.orchestrator, project, spec(), []), prompt },
    source: 'API',
    retryOf: null,
    idempotencyKey: null,
    inputHash: null,
    actor: 'test',
    action: 'startBuild',
  };
}

const ids = (started: readonly StartedBuild[]) => new Set(started.map(({ build }) => build.id)).size;

/** How many statements of this process had these words in them meanwhile. */
async function countingStatements<T>(
  work: () => Promise<T>,
  words = 'accept_builds(',
): Promise<{ calls: number; value: T }> {
  const { db } = stack.orchestrator;
  const seen: string[] = [];
  const executor = db.getExecutor();
  const execute = executor.executeQuery.bind(executor);
  executor.executeQuery = (query) => {
    if (query.sql.includes(words)) seen.push(query.sql);
    return execute(query);
  };
  try {
    return { value: await work(), calls: seen.length };
  } finally {
    executor.executeQuery = execute;
  }
}

test('what comes together is written together: numbers without a gap, and every row that belongs to a build', async () => {
  const { db } = stack.orchestrator;
  const [a, b] = [await stack.createProject(), await stack.createProject()];
  await Promise.all([start(a), start(b)]);
  const more = {
    labels: ['zz', 'b', 'long.one', 'a', '10', '9'].map((key) => ({ key, value: `v${key}` })),
    runsOn: ['gpu', 'arm'],
    concurrencyKey: 'deploy',
    priority: 7,
    runAfter: new Date(Date.now() + 3_600_123),
  };
  const { value: started, calls } = await countingStatements(() =>
    Promise.all(
      Array.from({ length: 60 }, (_, n) => start(n % 3 ? a : b, n % 5 ? {} : more, n % 4 ? `key-${n}` : null)),
    ),
  );
  expect([1, 2, 3, 4, 5, 6]).toContain(calls);
  for (const [project, count] of [
    [a, 41],
    [b, 21],
  ] as const) {
    const mine = started.filter(({ build }) => build.projectId === project.id).map(({ build }) => build.number);
    expect(mine).toEqual(Array.from({ length: count - 1 }, (_, n) => n + 2));
    const activity = await db.selectFrom('project_events').selectAll().where('project_id', '=', project.id).execute();
    expect(activity.map(({ seq }) => seq).sort((x, y) => x - y)).toEqual(
      Array.from({ length: count }, (_, n) => n + 1),
    );
    expect(new Set(activity.map(({ build_id: id }) => id)).size).toBe(count);
  }
  for (const { build, deduplicated } of started) {
    expect(deduplicated).toBe(false);
    const stored = await findBuild(db, build.id);
    expect(build).toEqual(stored);
    // In the order in which every later answer has them.
    expect(Object.keys(build.spec.labels)).toEqual(Object.keys(stored?.spec.labels ?? {}));
    const events = await readEvents(db, { buildId: build.id, after: 0, limit: 10 });
    expect(events).toMatchObject([
      { seq: 1, attemptNo: 0, type: 'QUEUED', data: { runAfter: build.spec.runAfter, retryOf: null } },
    ]);
  }
  const said = ({ build }: StartedBuild) =>
    ['concurrencyKey', 'runsOn', 'network', 'interaction', 'supersede'].filter((member) => member in build.spec);
  expect(started.slice(0, 2).map(said)).toEqual([['concurrencyKey', 'runsOn'], []]);
  const { rows } = await sql<{ items: number; entries: number; needs: string[]; late: boolean }>`
    select (select count(*)::int from queue_items where project_id = ${a.id}) as items,
           (select count(*)::int from audit_log l where l.project_id = ${a.id} and l.action = 'startBuild'
               and l.actor = 'test' and l.subject_type = 'build'
               and exists (select from build_audit where id = l.subject_id)) as entries,
           needs, ready_at = (select run_after from build_audit where id = i.id) as late
      from queue_items i where project_id = ${a.id} and key = 'deploy' and priority = 7 limit 1`.execute(db);
  expect(rows).toEqual([{ items: 41, entries: 41, needs: ['arm', 'gpu', 'provider:scripted'], late: true }]);
  expect(await sql`select * from queue_check()`.execute(db)).toMatchObject({ rows: [] });
});

test('what is refused takes no number and keeps nobody: a key that is taken, an archived project', async () => {
  const { db } = stack.orchestrator;
  const project = await stack.createProject();
  const archived = await stack.createProject();
  const before = await start(archived, {}, 'old');
  await archiveProject(stack.orchestrator, archived.id, 'test');
  const all = await Promise.allSettled([
    ...Array.from({ length: 5 }, () => start(project, {}, 'same')),
    start(archived),
    start(project),
    start(archived, {}, 'old'),
    start(project, { prompt: 'other' }, 'same'),
  ]);
  const same = all.slice(0, 5).map((one) => (one.status === 'fulfilled' ? one.value : null)) as StartedBuild[];
  expect([ids(same), same.filter(({ deduplicated }) => !deduplicated).length]).toEqual([1, 1]);
  const names = all.slice(5).map((one) => (one.status === 'fulfilled' ? one.value.build.number : one.reason.name));
  expect(names).toEqual(['ProjectNotReadyError', 2, 1, 'IdempotencyConflictError']);
  expect(await start(archived, {}, 'old')).toEqual({ ...before, deduplicated: true });
  await expect(start(archived)).rejects.toThrow(ProjectNotReadyError);
  const count = db.selectFrom('build_audit').select(sql<number>`count(*)::int`.as('n'));
  expect(await count.where('project_id', '=', project.id).execute()).toEqual([{ n: 2 }]);
});

test('one key in two processes is one build', async () => {
  const { config, logger } = stack.orchestrator;
  const other = await openOrchestrator({ config, logger, databaseUrl: stack.databaseUrl, supervise: false });
  try {
    const project = await stack.createProject();
    const input = { projectId: project.id, spec: spec(), idempotencyKey: 'once' };
    const started = await Promise.all(
      Array.from({ length: 40 }, (_, n) => startBuild(n % 2 ? other : stack.orchestrator, input, 'test')),
    );
    expect([ids(started), started.filter(({ deduplicated }) => !deduplicated).length]).toEqual([1, 1]);
    const many = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        startBuild(n % 2 ? other : stack.orchestrator, { ...input, idempotencyKey: null }, 'test'),
      ),
    );
    const numbers = many.map(({ build }) => build.number).sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: 40 }, (_, n) => n + 2));
  } finally {
    await other[Symbol.asyncDispose]();
  }
});

test('a project whose row somebody holds keeps no other one waiting', async () => {
  const { db } = stack.orchestrator;
  const [held, free] = [await stack.createProject(), await stack.createProject()];
  const waiting: Promise<StartedBuild>[] = [];
  let answered = 0;
  await db.transaction().execute(async (trx) => {
    await sql`select from projects where id = ${held.id} for update`.execute(trx);
    const key = (n: number) => (n < 2 ? 'twice' : null);
    for (let n = 0; n < 11; n += 1) waiting.push(start(held, {}, key(n)).finally(() => (answered += 1)));
    const others = await Promise.all(Array.from({ length: 10 }, () => start(free)));
    expect(ids(others)).toBe(10);
    await waitFor(async () => {
      const { rows } = await sql<{ n: number }>`select count(*)::int as n from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%accept_builds%'`.execute(db);
      return rows[0]?.n === 1;
    });
    expect(answered).toBe(0);
  });
  const started = await Promise.all(waiting);
  expect([...new Set(started.map(({ build }) => build.number))].sort((a, b) => a - b)).toEqual([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ]);
  expect(started.filter(({ deduplicated }) => deduplicated).length).toBe(1);
});

test('a project that was changed elsewhere is what it is now: for the spec, and for what is refused', async () => {
  const { orchestrator } = stack;
  const { db } = orchestrator;
  const project = await stack.createProject();
  const change = (changes: Parameters<typeof updateProject>[1]['changes']) =>
    updateProject(orchestrator, { id: project.id, changes }, 'test');
  await start(project);
  await change({ defaultBranch: 'next', settings: { budget: { perBuildUsd: 1 } } });
  const [{ build }, other] = await Promise.all([start(project), start(project)]);
  expect([build.branch, other.build.branch, build.spec.limits.maxCostUsd]).toEqual(['next', 'next', 1]);
  await expect(start(project, { limits: { maxCostUsd: 2 } })).rejects.toThrow(InvalidInputError);
  await change({ settings: { budget: { perBuildUsd: 3 } } });
  expect((await start(project, { limits: { maxCostUsd: 2 } })).build.spec.limits.maxCostUsd).toBe(2);
  // A budget that there was not; and more of it, once it is used up.
  await sql`insert into project_spend (project_id, day, tokens) values (${project.id}, (now() at time zone 'UTC')::date, 10)`.execute(
    db,
  );
  await change({ settings: { budget: { perDayTokens: 10 } } });
  for (let tries = 0; tries < 2; tries += 1) await expect(start(project)).rejects.toThrow(BudgetExceededError);
  await change({ settings: { budget: { perDayTokens: 11 } } });
  expect((await start(project)).build.number).toBe(5);
  // Those that supersede others take another way.
  await change({ defaultBranch: 'last', settings: { supersede: { by: 'PROJECT', policy: 'CANCEL_IN_PROGRESS' } } });
  expect((await start(project)).build.branch).toBe('last');
  await change({ defaultBranch: 'very-last' });
  expect((await start(project)).build.branch).toBe('very-last');
});

test.each([
  ['accept.written', 'reset'],
  ['accept.written', 'fail'],
  ['accept.committed', 'reset'],
  ['accept.committed', 'fail'],
] as const)('a flush that fails at %s (%s) is repeated row by row, and each row is one build', async (point, kind) => {
  const project = await stack.createProject();
  await start(project);
  armFailpoints([{ point: point satisfies Failpoint, fault: { kind }, pass: 1 }]);
  const started = await Promise.all(Array.from({ length: 8 }, (_, n) => start(project, {}, n % 2 ? `key-${n}` : null)));
  expect(started.every(({ deduplicated }) => !deduplicated)).toBe(true);
  const numbers = started.map(({ build }) => build.number).sort((a, b) => a - b);
  expect(numbers).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a disk that had no room is looked at again at once, and one that had room soon', async () => {
  const config = { dataFolder: stack.orchestrator.config.dataFolder, minFreeMb: Number.MAX_SAFE_INTEGER };
  const watch = new DiskWatch(config);
  for (let n = 0; n < 2; n += 1) await expect(watch.refuseOnFull()).rejects.toThrow(DiskFullError);
  const refusal = () =>
    watch.refuseOnFull().then(
      () => null,
      (error) => error,
    );
  config.minFreeMb = 0;
  const first = refusal();
  config.minFreeMb = Number.MAX_SAFE_INTEGER;
  expect(await Promise.all([first, refusal()])).toEqual([null, null]);
  expect(await waitFor(refusal)).toBeInstanceOf(DiskFullError);
});

test('a build is one statement, and others are told of it behind its commit', async () => {
  const project = await stack.createProject();
  await start(project);
  const { config, logger } = stack.orchestrator;
  const other = await openOrchestrator({ config, logger, databaseUrl: stack.databaseUrl, supervise: false });
  try {
    let heard = 0;
    other.hub.on(projectTopic(project.id), () => {
      heard += 1;
    });
    const announce = vi.spyOn(stack.orchestrator.hub, 'announce');
    const { calls } = await countingStatements(() => start(project), '');
    expect([calls, announce.mock.calls]).toEqual([1, [[BUILDS_TOPIC, projectTopic(project.id)]]]);
    await waitFor(() => heard === 1);
  } finally {
    vi.restoreAllMocks();
    await other[Symbol.asyncDispose]();
  }
});

test('a row that cannot be written fails alone', async () => {
  const { orchestrator } = stack;
  const project = await stack.createProject();
  const accept = (prompt: string) => orchestrator.acceptor.accept(toBuildRow(newBuild(project, prompt)));
  const all = await Promise.allSettled([accept('a'), accept('a\0b'), accept('c')]);
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect((await start(project)).build.number).toBe(3);
});

test('nothing is removed that a build names, or is about to name', async () => {
  const { orchestrator } = stack;
  const { db } = orchestrator;
  const [none, some, soon] = [await stack.createProject(), await stack.createProject(), await stack.createProject()];
  const remove = (table: string, id: string) => sql`delete from ${sql.table(table)} where id = ${id}`.execute(db);
  const { build } = await start(some);
  await expect(remove('projects', some.id)).rejects.toThrow('is named by build_audit (project_id)');
  const workerId = await registerByHand(stack);
  expect(await claimBuilds(orchestrator, { ...claimer(workerId), projectIds: [some.id] }, 1)).toMatchObject([
    { id: build.id },
  ]);
  await expect(remove('workers', workerId)).rejects.toThrow('is named by build_attempts (worker_id)');
  await expect(remove('build_audit', build.id)).rejects.toThrow('is named by build_attempts (build_id)');
  await sql`delete from build_attempts where build_id = ${build.id}`.execute(db);
  await expect(remove('workers', workerId)).rejects.toThrow('is named by build_audit (worker_id)');
  await acceptBuildAlone({ ...newBuild(some), source: 'RETRY', retryOf: build.id });
  await expect(remove('build_audit', build.id)).rejects.toThrow('is named by build_audit (retry_of)');
  const removal = await acceptBuildAlone(newBuild(soon), async () => {
    const removed = expect(remove('projects', soon.id)).rejects.toThrow('is named by build_audit (project_id)');
    const waits = sql<{ n: number }>`select count(*) as n from pg_stat_activity
      where wait_event_type = 'Lock' and query like 'delete from "projects"%' and datname = current_database()`;
    await waitFor(async () => (await waits.execute(db)).rows[0]?.n === 1);
    return { removed };
  });
  await removal?.removed;
  await remove('projects', none.id);
});

/** `work` is done before the commit. */
function acceptBuildAlone<T>(build: NewBuild, work?: () => Promise<T>): Promise<T | undefined> {
  return stack.orchestrator.db.transaction().execute(async (trx) => {
    await acceptBuild(trx, build);
    return work?.();
  });
}

test('free places are filled with the commit that accepts builds: as by a claim, and nobody is waited for', async () => {
  const { orchestrator } = stack;
  const { places, db, hub } = orchestrator;
  const [project, other] = [await stack.createProject(), await stack.createProject()];
  const workerId = await registerByHand(stack);
  // What waits since earlier tests.
  while ((await claimBuilds(orchestrator, claimer(workerId), 100)).length > 0);
  const { build: urgent } = await start(project, { priority: 9 });
  const given: string[][] = [];
  let count = 1;
  const keep = async () => ({
    claimer: claimer(workerId),
    count,
    ending: [],
    release: ({ claimed }: Filled) => void given.push(claimed.map(({ id }) => id)),
  });
  let woken = 0;
  const offs = [
    places.serve(keep),
    hub.on(BUILDS_TOPIC, () => {
      woken += 1;
    }),
  ];
  try {
    const { build: second } = await start(project);
    expect([given, woken]).toEqual([[[urgent.id]], 1]);
    expect(await findBuild(db, urgent.id)).toMatchObject({ status: 'RUNNING', workerId, attemptNo: 1 });
    expect(await findBuild(db, second.id)).toMatchObject({ status: 'PENDING' });

    // Another claim is on its way; and the worker is being told something.
    for (const held of [
      sql`select from queue_state for update`,
      sql`select from workers where id = ${workerId} for update`,
    ])
      await db.transaction().execute(async (trx) => {
        await held.execute(trx);
        expect(await start(other)).toMatchObject({ deduplicated: false });
      });
    expect([given.slice(1), woken]).toEqual([[[], []], 3]);

    count = 9;
    await Promise.all([start(project), start(project), start(project)]);
    await start(other);
    expect(woken).toBe(3);
    const waiting = await db
      .selectFrom('build_audit')
      .select('id')
      .where('project_id', 'in', [project.id, other.id])
      .where('status', '=', 'PENDING')
      .execute();
    expect(waiting).toEqual([]);
    expect(new Set(given.flat())).toContain(second.id);
    expect(new Set(given.flat()).size).toBe(given.flat().length);
    expect(await sql`select * from queue_check()`.execute(db)).toMatchObject({ rows: [] });
  } finally {
    for (const off of offs) off();
  }
});
