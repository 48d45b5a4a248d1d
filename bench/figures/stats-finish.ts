/** What rollups cost who finishes builds. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { type ClaimedBuild, toClaimedBuild } from '../../src/builds/build.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import type { Database } from '../../src/database/database.ts';
import { foldStats } from '../../src/stats/stats-keeper.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { CONCLUSION } from '../conclusion.ts';
import type { Case, Figure, Proof } from '../figure.ts';
import { openProduct } from '../product.ts';

const PROJECTS = 500;
/** As many as end between two rounds of folding in a process that is as busy as that. */
const BUILDS = 10_000;
/** Attempts that end at the same time. */
const OUTSTANDING = 256;

/** Finishes builds as their attempts do, with nothing that waits for their places; meanwhile as many are folded, those of the turn before. */
function finish(withRollups: boolean): Case {
  return {
    name: withRollups ? 'with rollups' : 'without',
    role: withRollups ? 'ours' : 'limit',
    async open(bench) {
      await using opened = new AsyncDisposableStack();
      const { url, db } = await bench.database({ migrated: true });
      await sql`insert into projects (id, slug, name, default_branch, created_by)
        select md5(n::text)::uuid, 'p-' || n, 'P', 'main', 'bench' from generate_series(0, ${PROJECTS - 1}::int) n`.execute(
        db,
      );
      const { orchestrator } = opened.use(await openProduct(url));
      const workerId = v7();
      await registerWorker(db, { id: workerId, name: 'bench', place: 'bench', version: '0', capacity: 1, agents: [] });
      if (!withRollups) await sql`alter table build_audit disable trigger build_stats_update`.execute(db);
      let count = 0;
      const resources = opened.move();
      return {
        async run() {
          const before = count;
          const builds = (await addRunning(db, { workerId, first: before })).values();
          count += BUILDS;
          const startedAt = performance.now();
          const attempts = Array.from({ length: OUTSTANDING }, async () => {
            for (const build of builds) await openPostgresLedger(orchestrator, build).finish(CONCLUSION);
          });
          await Promise.all([...attempts, withRollups && foldStats(db)]);
          const seconds = (performance.now() - startedAt) / 1_000;
          const proof = () => prove(db, { finished: count, folded: withRollups ? before : null });
          return { operations: BUILDS, seconds, latenciesMs: [], proof };
        },
        [Symbol.asyncDispose]: () => resources.disposeAsync(),
      };
    },
  };
}

/** As a claim leaves them; they have been running for one to six minutes. */
async function addRunning(
  db: Database,
  { workerId, first }: { readonly workerId: string; readonly first: number },
): Promise<readonly ClaimedBuild[]> {
  const spec = { prompt: 'x'.repeat(200), branch: 'main', labels: {}, provider: 'codex', template: 'template-1@1.0' };
  await sql`
    with build as (
      insert into build_audit (id, project_id, number, status, phase, source, spec, attempt_no, worker_id, lease_until,
                               requested_by, created_at, started_at)
      select uuidv7(), md5((n % ${PROJECTS})::text)::uuid, n, 'RUNNING', 'AGENT', 'API', ${JSON.stringify(spec)}::jsonb, 1,
             ${workerId}, now() + interval '1 hour', 'bench', now(), now() - (60 + n * 7919 % 300) * interval '1 second'
        from generate_series(${first}::int, ${first + BUILDS - 1}::int) n returning id
    )
    insert into build_attempts (build_id, attempt_no, worker_id) select id, 1, ${workerId} from build`.execute(db);
  await sql`vacuum build_audit, build_stats_deltas`.execute(db);
  const rows = await db.selectFrom('build_audit').selectAll().where('status', '=', 'RUNNING').execute();
  return rows.map((row) => toClaimedBuild(row, workerId));
}

interface Expected {
  readonly finished: number;
  /** At least; null: nothing is noted for rollups. */
  readonly folded: number | null;
}

async function prove(db: Database, { finished, folded }: Expected): Promise<Proof[]> {
  const { rows } = await sql<{ finished: number; folded: number; noted: number }>`
    select (select count(*) from build_audit where status = 'COMPLETED') as finished,
           (select coalesce(sum(completed), 0)::bigint from build_stats where scope = 'ALL' and level = 'MONTH') as folded,
           (select count(*) from build_stats_deltas) as noted`.execute(db);
  const found = rows[0] ?? { finished: -1, folded: -1, noted: -1 };
  return [
    { what: 'finished builds', expected: finished, found: found.finished },
    {
      what: 'finished builds in rollups, or noted for them',
      expected: folded === null ? 0 : finished,
      found: found.folded + found.noted,
    },
    { what: 'of the turns before in rollups', expected: folded ?? 0, found: Math.min(found.folded, folded ?? 0) },
  ];
}

const WITH = finish(true);
const WITHOUT = finish(false);

export const figures: readonly Figure[] = [
  {
    name: 'stats-finish',
    title: 'builds finished by their attempts while as many are folded into rollups, against the same without any',
    cases: [WITH, WITHOUT],
    goals: [{ metric: 'rate', of: WITH.name, against: WITHOUT.name, atLeast: 0.75 }],
  },
];
