/** A build is accepted: all that `startBuild` writes, durable when it answers. */
import { sql } from 'kysely';
import { fromKysely, PgBoss } from 'pg-boss';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import type { Bench } from '../bench.ts';
import type { Case, Figure, Rig } from '../figure.ts';
import { closedLoop } from '../load.ts';
import { type Script, statementsRig } from '../pgbench.ts';
import { openProduct } from '../product.ts';
import { storeBuilds } from '../stored-builds.ts';

/** So many that the counter of a project is nobody's bottleneck. */
const PROJECTS = 1_000;
const OUTSTANDING = 256;
const PROMPT = 'Make the button of the login page blue, and say so in the changelog. '.repeat(6);

const project = (n: string) => `md5(${n}::text)::uuid`;

async function addProjects(db: Database): Promise<void> {
  await sql`insert into projects (id, slug, name, default_branch, created_by)
    select md5(n::text)::uuid, 'p-' || n, 'P', 'main', 'bench' from generate_series(1, ${PROJECTS}::int) n`.execute(db);
}

async function projectIds(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('projects').select('id').execute();
  return rows.map(({ id }) => id);
}

/** Each table that an accepted build writes a row of. */
const TABLES = ['build_audit', 'build_events', 'project_events', 'audit_log', 'queue_items'] as const;

async function countRows(db: Database): Promise<number[]> {
  const counts = TABLES.map((table) => sql<{ n: number }>`select count(*) as n from ${sql.table(table)}`.execute(db));
  return (await Promise.all(counts)).map(({ rows }) => rows[0]?.n ?? 0);
}

/** Proves that each table has grown by what was acknowledged since the last look. */
async function rowsProof(db: Database) {
  let before = await countRows(db);
  return async (acknowledged: number) => {
    const after = await countRows(db);
    const grown = after.map((count, index) => count - (before[index] ?? 0));
    before = after;
    return TABLES.map((table, index) => ({
      what: `rows of ${table} and acknowledged builds`,
      expected: acknowledged,
      found: grown[index] ?? 0,
    }));
  };
}

function ours(outstanding: number): Case {
  return {
    name: 'startBuild',
    role: 'ours',
    async open(bench) {
      const database = await bench.database({ migrated: true });
      await addProjects(database.db);
      const ids = await projectIds(database.db);
      if (bench.size !== null) await storeBuilds(database.db, bench.size);
      const product = await openProduct(database.url);
      const prove = await rowsProof(database.db);
      return {
        async run({ seconds }) {
          const load = await closedLoop({ seconds, outstanding }, (index) =>
            startBuild(
              product.orchestrator,
              { projectId: ids[index % ids.length] ?? '', spec: { prompt: PROMPT } },
              'token_bench',
            ),
          );
          return { ...load, proof: () => prove(load.operations) };
        },
        [Symbol.asyncDispose]: () => product[Symbol.asyncDispose](),
      };
    },
  };
}

/** What startBuild writes, in one statement: nobody who writes one build a transaction has less to do. */
function sameRows(spec: string, notify: boolean): Script {
  const statement = `
    with p as (update projects set build_count = build_count + 1, activity_seq = activity_seq + 1
                where id = ${project(':project')} and status = 'ACTIVE'
               returning id, build_count, activity_seq),
         b as (insert into build_audit (id, project_id, number, source, spec, priority, requested_by, traceparent, last_seq)
               select uuidv7(), id, build_count, 'API', '${spec}'::jsonb, 0, 'token_bench',
                      '00-' || replace(gen_random_uuid()::text, '-', '') || '-' || substr(md5(random()::text), 1, 16) || '-00', 1
                 from p returning id, project_id, created_at),
         e as (insert into build_events (build_id, seq, attempt_no, type, at, data)
               select id, 1, 0, 'QUEUED', clock_timestamp(), '{"runAfter": null, "retryOf": null}' from b),
         m as (insert into project_events (project_id, seq, build_id, build_seq, type, at)
               select p.id, p.activity_seq, b.id, 1, 'QUEUED', clock_timestamp() from p, b),
         a as (insert into audit_log (actor, action, subject_type, subject_id, project_id)
               select 'token_bench', 'startBuild', 'build', id, project_id from b),
         q as (insert into queue_items (id, kind, project_id, key, variable, gate, needs, priority, added_at, ready_at)
               select id, 'build', project_id, '', '', '', array['provider:' || 'scripted'], 0, created_at, created_at from b)
    ${notify ? `select pg_notify('bench', id::text) from b` : 'select id from b'}`;
  return { random: { project: [1, PROJECTS] }, statements: [statement] };
}

/** The spec that our own case stores, so that the rows are as large. To pgbench a name after a colon is a variable. */
async function specOf(bench: Bench): Promise<string> {
  const database = await bench.database({ migrated: true });
  await addProjects(database.db);
  await using product = await openProduct(database.url);
  const [projectId = ''] = await projectIds(database.db);
  const { build } = await startBuild(product.orchestrator, { projectId, spec: { prompt: PROMPT } }, 'token_bench');
  return JSON.stringify(build.spec).replaceAll("'", "''").replaceAll('":', '": ');
}

function pgbenchSameRows(name: string, clients: number, notify: boolean): Case {
  return {
    name,
    role: 'limit',
    async open(bench) {
      const script = sameRows(await specOf(bench), notify);
      const { url, db } = await bench.database({ migrated: true });
      await addProjects(db);
      return statementsRig({ url, clients, script }, await rowsProof(db));
    },
  };
}

function pgbenchInsert(name: string, clients: number): Case {
  return {
    name,
    role: 'limit',
    async open(bench) {
      const { url, db } = await bench.database({ migrated: false });
      await sql`create table plain (id uuid primary key, n int not null, at timestamptz not null default now())`.execute(
        db,
      );
      const script = {
        random: { n: [1, 1_000_000] as const },
        statements: ['insert into plain (id, n) values (uuidv7(), :n)'],
      };
      let before = 0;
      return statementsRig({ url, clients, script }, async (expected) => {
        const { rows } = await sql<{ n: number }>`select count(*) as n from plain`.execute(db);
        const found = (rows[0]?.n ?? 0) - before;
        before += found;
        return [{ what: 'rows and transactions', expected, found }];
      });
    },
  };
}

const bossSend: Case = {
  name: 'pg-boss send x32',
  role: 'peer',
  async open(bench): Promise<Rig> {
    const { db } = await bench.database({ migrated: true, poolSize: 32 });
    const boss = new PgBoss({ db: fromKysely(db), supervise: false, schedule: false, migrate: false });
    boss.on('error', () => {});
    await boss.start();
    await boss.createQueue('bench');
    let before = 0;
    return {
      async run({ seconds }) {
        const load = await closedLoop({ seconds, outstanding: 32 }, () => boss.send('bench', { prompt: PROMPT }));
        return {
          ...load,
          async proof() {
            const { rows } = await sql<{
              n: number;
            }>`select count(*) as n from pgboss.job where name = 'bench'`.execute(db);
            const found = (rows[0]?.n ?? 0) - before;
            before += found;
            return [{ what: 'jobs and acknowledged sends', expected: load.operations, found }];
          },
        };
      },
      [Symbol.asyncDispose]: () => boss.stop({ graceful: false, close: false }),
    };
  },
};

const NOTIFYING = 'pgbench, same rows and NOTIFY';
const SILENT = 'pgbench, same rows';
const BARE = 'pgbench, one bare INSERT';

export const figures: readonly Figure[] = [
  {
    name: 'accept',
    title: `startBuild in process, ${OUTSTANDING} outstanding, against pgbench with a transaction for each`,
    cases: [
      ours(OUTSTANDING),
      pgbenchSameRows(NOTIFYING, 32, true),
      pgbenchSameRows(SILENT, 32, false),
      pgbenchInsert(BARE, 32),
      bossSend,
    ],
    goals: [
      { metric: 'rate', of: 'startBuild', against: NOTIFYING, atLeast: 8 },
      { metric: 'rate', of: 'startBuild', against: SILENT, atLeast: 3 },
      { metric: 'rate', of: 'startBuild', against: BARE, atLeast: 1.1, reached: 0.77 },
    ],
    growth: { axis: 'stored builds', sizes: [100_000, 1_000_000, 10_000_000], metric: 'cpu' },
  },
  {
    name: 'idle',
    title: 'startBuild in process by one caller at a time, against pgbench with one client',
    cases: [ours(1), pgbenchSameRows(NOTIFYING, 1, true), pgbenchSameRows(SILENT, 1, false)],
    goals: [{ metric: 'rate', of: 'startBuild', against: NOTIFYING, atLeast: 0.85, reached: 0.54 }],
  },
];
