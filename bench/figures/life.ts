/** The whole life of a build but for its agent: claimed, running with its events, ended with event, attempt and announcement. */
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker';
import { sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { startLoop } from '../../src/std/loop.ts';
import { Claims } from '../../src/workers/claims.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { CONCLUSION } from '../conclusion.ts';
import type { Case, Figure, Sample, Turn } from '../figure.ts';
import { openProduct } from '../product.ts';

const PROJECTS = 1_000;
const silent = new Logger(() => () => {});

/** Waiting builds as startBuild leaves them; gives their ids. `queued`: in the queue of Slipway, too. */
async function addBuilds(db: Database, spec: string, count: number, queued: boolean): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    with added as (
      update projects p set build_count = build_count + c.count, activity_seq = activity_seq + c.count
        from (select md5((n % ${PROJECTS})::text)::uuid as id, count(*) as count
                from generate_series(1, ${count}::int) n group by 1) c
       where p.id = c.id returning p.id, p.build_count
    ), build as (
      insert into build_audit (id, project_id, number, source, spec, requested_by, last_seq)
      select uuidv7(), a.id, a.build_count - row_number() over (partition by a.id) + 1, 'API', ${spec}::jsonb, 'token_bench', 1
        from generate_series(1, ${count}::int) n join added a on a.id = md5((n % ${PROJECTS})::text)::uuid
      returning id
    )
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select id, 1, 0, 'QUEUED', clock_timestamp(), '{"runAfter": null, "retryOf": null}' from build
    returning build_id as id`.execute(db);
  const ids = rows.map(({ id }) => id);
  if (queued) await sql`select queue_add_build(id) from unnest(${ids}::uuid[]) id`.execute(db);
  await sql`analyze build_audit, build_events, queue_items`.execute(db);
  return ids;
}

async function addProjects(db: Database): Promise<void> {
  await sql`insert into projects (id, slug, name, default_branch, created_by)
    select md5(n::text)::uuid, 'p-' || n, 'P', 'main', 'bench' from generate_series(0, ${PROJECTS - 1}::int) n`.execute(
    db,
  );
}

async function readSpec({ orchestrator }: { readonly orchestrator: Orchestrator }): Promise<string> {
  const { id: projectId } = await orchestrator.db
    .selectFrom('projects')
    .select('id')
    .limit(1)
    .executeTakeFirstOrThrow();
  const prompt = 'Make the button of the login page blue, and say so in the changelog. '.repeat(6);
  const { build } = await startBuild(orchestrator, { projectId, spec: { prompt } }, 'token_bench');
  await sql`select queue_remove(${build.id})`.execute(orchestrator.db);
  return JSON.stringify(build.spec);
}

/** Of the builds that this repetition had: each has ended once, with all that belongs to it. */
async function prove(db: Database, ids: readonly string[]) {
  const { rows } = await sql<{ ended: number; events: number; attempts: number; milestones: number; waiting: number }>`
    select (select count(*) from build_audit where id = any(${ids}::uuid[]) and status = 'COMPLETED' and last_seq = 4) as ended,
           (select count(*) from build_events where build_id = any(${ids}::uuid[])) as events,
           (select count(*) from build_attempts where build_id = any(${ids}::uuid[]) and outcome = 'FINISHED') as attempts,
           (select count(*) from project_events where build_id = any(${ids}::uuid[])) as milestones,
           (select count(*) from queue_items) as waiting`.execute(db);
  const found = rows[0];
  const expected = {
    ended: ids.length,
    events: 4 * ids.length,
    attempts: ids.length,
    milestones: 3 * ids.length,
    waiting: 0,
  };
  return (['ended', 'events', 'attempts', 'milestones', 'waiting'] as const).map((what) => ({
    what: `${what} of the builds that were to run`,
    expected: expected[what],
    found: found?.[what] ?? 0,
  }));
}

/** Builds of one repetition, prepared while no clock runs. */
const countFor = ({ seconds }: Pick<Turn, 'seconds'>, perSecond: number) => Math.ceil(seconds * perSecond);

interface Stock {
  take(turn: Turn): Promise<readonly string[]>;
  refill(): Promise<void>;
}

/** The first repetition is added when it begins; each later one while its predecessor proves its work. */
function stock(perSecond: number, add: (count: number) => Promise<readonly string[]>): Stock {
  let ready: readonly string[] | null = null;
  let size = 0;
  return {
    async take(turn) {
      size = countFor(turn, perSecond);
      const ids = ready?.length === size ? ready : [...(ready ?? []), ...(await add(size - (ready?.length ?? 0)))];
      ready = null;
      return ids;
    },
    async refill() {
      ready = await add(size);
    },
  };
}

function ours(slots: number): Case {
  return {
    name: `Slipway, ${slots} slots`,
    role: 'ours',
    async open(bench) {
      const { url, db } = await bench.database({ migrated: true });
      await addProjects(db);
      const product = await openProduct(url);
      const spec = await readSpec(product);
      const workerId = v7();
      const worker = { id: workerId, name: 'bench', place: 'bench', version: '0', capacity: slots, agents: [] };
      await registerWorker(db, worker);
      const builds = stock(4_000, (count) => addBuilds(db, spec, count, true));
      return {
        async run(turn): Promise<Sample> {
          const ids = await builds.take(turn);
          const startedAt = performance.now();
          await drain(product.orchestrator, { workerId, slots, count: ids.length });
          const seconds = (performance.now() - startedAt) / 1_000;
          return {
            operations: ids.length,
            seconds,
            latenciesMs: [],
            async proof() {
              const proofs = await prove(db, ids);
              await builds.refill();
              return proofs;
            },
          };
        },
        [Symbol.asyncDispose]: () => product[Symbol.asyncDispose](),
      };
    },
  };
}

interface Drain {
  readonly workerId: string;
  readonly slots: number;
  readonly count: number;
}

/** As a worker does it: what ends gives its place to the next one with its commit, and what is free besides is claimed. */
async function drain(orchestrator: Orchestrator, { workerId, slots, count }: Drain): Promise<void> {
  const claimer = { workerId, workerName: 'bench', labels: ['provider:scripted'], projectIds: null };
  const standing = { takesWork: true, isEvicted: false, drain: null, labels: claimer.labels };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  /** But for those that have left their places. */
  const running = new Set<string>();
  let ended = 0;
  const claims = new Claims({
    coordinator: { claim: (_labels, limit) => claimBuilds(orchestrator, claimer, limit) },
    readiness: { isReady: async () => true },
    orders: { heedLately: async () => standing },
    free: (ending) => slots - running.size + ending,
    leave: (ended) => {
      for (const { buildId } of ended) running.delete(buildId);
    },
    endsHere: ({ buildId }) => running.has(buildId),
    runningTasks: () => 0,
    start: (build) => void live(build).catch(reject),
  });
  const loop = startLoop({ everyMs: 2_000, work: () => claims.claim(), onError: reject });
  async function live(build: ClaimedBuild): Promise<void> {
    running.add(build.id);
    const ledger = openPostgresLedger(orchestrator, build);
    await ledger.finish(CONCLUSION);
    await ledger.ask('reportEnd');
    running.delete(build.id);
    ended += 1;
    if (ended === count) resolve();
    else if (claims.wants) loop.wake();
  }
  const off = orchestrator.places.serve(async (ending) => {
    const places = await claims.keep(ending);
    return places && { ...places, claimer };
  });
  loop.wake();
  await promise.finally(off);
  await loop.stop();
}

/** What a claim writes of a build, in one statement: with graphile-worker the queue is its own. */
const BEGIN = `
  with build as (
    update build_audit set status = 'RUNNING', phase = 'PREPARING', attempt_no = attempt_no + 1, worker_id = $2,
           lease_until = now() + interval '15 s', started_at = clock_timestamp(), last_seq = last_seq + 2
     where id = $1 and status = 'PENDING' returning id, project_id, last_seq
  ), attempt as (
    insert into build_attempts (build_id, attempt_no, worker_id) select id, 1, $2 from build
  ), activity as (
    update projects p set activity_seq = activity_seq + 2 from build where p.id = build.project_id returning p.id, activity_seq
  ), milestone as (
    insert into project_events (project_id, seq, build_id, build_seq, type, at)
    select a.id, a.activity_seq - 2 + n, b.id, b.last_seq - 2 + n, t, clock_timestamp()
      from activity a, build b, (values (1, 'STARTED'), (2, 'PHASE_CHANGED')) e (n, t)
  ), event as (
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select b.id, b.last_seq - 2 + n, 1, t, clock_timestamp(), d::jsonb
      from build b, (values (1, 'STARTED', '{"workerId": "w", "workerName": "bench"}'),
                            (2, 'PHASE_CHANGED', '{"from": "QUEUED", "to": "PREPARING"}')) e (n, t, d)
  )
  select pg_notify('bench', id::text) from build`;

/** And its end; the job is completed by graphile-worker. */
const END = `
  with build as (
    update build_audit set status = 'COMPLETED', phase = 'DONE', finished_at = clock_timestamp(), lease_until = null,
           result = $2, usage = $2::jsonb -> 'usage', last_seq = last_seq + 1, ledger_no = 1
     where id = $1 and status = 'RUNNING' and attempt_no = 1 returning id, project_id, last_seq
  ), attempt as (
    update build_attempts a set ended_at = now(), outcome = 'FINISHED' from build where a.build_id = build.id
  ), activity as (
    update projects p set activity_seq = activity_seq + 1 from build where p.id = build.project_id returning p.id, activity_seq
  ), milestone as (
    insert into project_events (project_id, seq, build_id, build_seq, type, at)
    select a.id, a.activity_seq, b.id, b.last_seq, 'FINISHED', clock_timestamp() from activity a, build b
  ), event as (
    insert into build_events (build_id, seq, attempt_no, type, at, data)
    select id, last_seq, 1, 'FINISHED', clock_timestamp(), '{"status": "COMPLETED", "reason": null, "message": null}' from build
  )
  select pg_notify('bench', id::text) from build`;

/** Seconds until graphile-worker has done so many jobs. */
async function work({ pool, slots, workerId, count }: Work): Promise<number> {
  const result = JSON.stringify(CONCLUSION.result);
  const ended = Promise.withResolvers<void>();
  let done = 0;
  const startedAt = performance.now();
  const runner = await run({
    pgPool: pool,
    concurrency: slots,
    noHandleSignals: true,
    logger: silent,
    preset: { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    taskList: {
      build: async (payload) => {
        const { id } = payload as { id: string };
        await pool.query({ name: 'begin', text: BEGIN, values: [id, workerId] });
        await pool.query({ name: 'end', text: END, values: [id, result] });
        done += 1;
        if (done === count) ended.resolve();
      },
    },
  });
  await ended.promise;
  const seconds = (performance.now() - startedAt) / 1_000;
  await runner.stop();
  return seconds;
}

interface Work {
  readonly pool: pg.Pool;
  readonly slots: number;
  readonly workerId: string;
  readonly count: number;
}

/** graphile-worker at its best: it fetches 500 jobs at a time, completes them in batches, and keeps nothing of them. */
function graphile(slots: number): Case {
  return {
    name: `graphile-worker, ${slots} slots, batched`,
    role: 'peer',
    async open(bench) {
      const { url, db } = await bench.database({ migrated: true });
      await addProjects(db);
      await using product = await openProduct(url);
      const spec = await readSpec(product);
      await runMigrations({ connectionString: url, logger: silent });
      const workerId = v7();
      await registerWorker(db, {
        id: workerId,
        name: 'bench',
        place: 'bench',
        version: '0',
        capacity: slots,
        agents: [],
      });
      const pool = new pg.Pool({ connectionString: url, max: slots + 4 });
      const utils = await makeWorkerUtils({ pgPool: pool, logger: silent });
      const builds = stock(600, async (count) => {
        const ids = await addBuilds(db, spec, count, false);
        await utils.addJobs(ids.map((id) => ({ identifier: 'build', payload: { id } })));
        await sql`analyze graphile_worker._private_jobs`.execute(db);
        return ids;
      });
      return {
        async run(turn): Promise<Sample> {
          const ids = await builds.take(turn);
          const seconds = await work({ pool, slots, workerId, count: ids.length });
          return {
            operations: ids.length,
            seconds,
            latenciesMs: [],
            async proof() {
              const left = await sql<{ n: number }>`select count(*) as n from graphile_worker._private_jobs`.execute(
                db,
              );
              const proofs = [
                ...(await prove(db, ids)),
                { what: 'jobs that are left', expected: 0, found: left.rows[0]?.n ?? -1 },
              ];
              await builds.refill();
              return proofs;
            },
          };
        },
        async [Symbol.asyncDispose]() {
          await utils.release();
          await pool.end();
        },
      };
    },
  };
}

const PEER = 'graphile-worker, 24 slots, batched';

export const figures: readonly Figure[] = [
  {
    name: 'life',
    title: 'whole life of a build minus the agent, against graphile-worker that writes the same rows',
    cases: [ours(24), ours(128), graphile(24)],
    goals: [
      { metric: 'rate', of: 'Slipway, 24 slots', against: PEER, atLeast: 2.5 },
      { metric: 'rate', of: 'Slipway, 128 slots', against: PEER, atLeast: 7, reached: 4.2 },
    ],
  },
];
