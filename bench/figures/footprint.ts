/** What one more of everything costs: processor, disk and WAL of a build, an event and a project that is idle. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { createProject } from '../../src/projects/create-project.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import type { Bench } from '../bench.ts';
import { CONCLUSION } from '../conclusion.ts';
import type { Case, Figure, Sample, Turn } from '../figure.ts';
import { closedLoop } from '../load.ts';
import { openProduct } from '../product.ts';

const PROJECTS = 100;
const OUTSTANDING = 256;
const AT_ONCE = 64;
const EVENTS_OF_ENTRY = 10;
const PROMPT = 'Make the button of the login page blue, and say so in the changelog. '.repeat(6);
const EVENT: NewBuildEvent = {
  type: 'AGENT_ACTIVITY',
  data: { content: { kind: 'message', text: 'I have found the stylesheet of the login page. '.repeat(3) } },
};

interface Stage {
  readonly db: Database;
  readonly orchestrator: Orchestrator;
  readonly projectIds: readonly string[];
  claim(count: number): Promise<readonly ClaimedBuild[]>;
}

/** `work` does one more, and counts what there is in `table` of it. */
function oneMore(name: string, table: 'build_audit' | 'build_events' | 'projects', prepare: Prepare): Case {
  return {
    name,
    role: 'ours',
    async open(bench) {
      const { stage, close } = await openStage(bench);
      const work = await prepare(stage);
      const count = async () => {
        const { rows } = await sql<{ n: number }>`select count(*) as n from ${sql.table(table)}`.execute(stage.db);
        return rows[0]?.n ?? 0;
      };
      return {
        async run(turn): Promise<Sample> {
          const rowsBefore = await count();
          const before = await readSizes(stage.db);
          const load = await work(turn);
          const after = await readSizes(stage.db);
          return {
            ...load,
            latenciesMs: [],
            values: {
              'disk bytes': (after.disk - before.disk) / load.operations,
              'WAL bytes': (after.wal - before.wal) / load.operations,
            },
            proof: async () => [
              { what: `rows of ${table}`, expected: load.operations, found: (await count()) - rowsBefore },
            ],
          };
        },
        [Symbol.asyncDispose]: close,
      };
    },
  };
}

type Prepare = (stage: Stage) => Promise<(turn: Turn) => Promise<Pick<Sample, 'operations' | 'seconds'>>>;

async function readSizes(db: Database): Promise<{ readonly disk: number; readonly wal: number }> {
  const { rows } = await sql<{ disk: number; wal: number }>`
    select pg_database_size(current_database())::float8 as disk, (pg_current_wal_lsn() - '0/0')::float8 as wal`.execute(
    db,
  );
  return rows[0] ?? { disk: 0, wal: 0 };
}

async function openStage(bench: Bench) {
  const { url, db } = await bench.database({ migrated: true });
  const product = await openProduct(url);
  const { orchestrator } = product;
  const projectIds: string[] = [];
  for (let n = 0; n < PROJECTS; n += 1) {
    projectIds.push((await createProject(orchestrator, { name: 'Bench', slug: `bench-${n}` }, 'token_bench')).id);
  }
  const workerId = v7();
  await registerWorker(db, { id: workerId, name: 'bench', place: 'bench', version: '0', capacity: 256, agents: [] });
  const claimer = { workerId, workerName: 'bench', labels: ['provider:scripted'], projectIds: null };
  const claim = (count: number) => claimBuilds(orchestrator, claimer, count);
  return { stage: { db, orchestrator, projectIds, claim }, close: () => product[Symbol.asyncDispose]() };
}

function start({ orchestrator, projectIds }: Stage, index: number) {
  const projectId = projectIds[index % projectIds.length] ?? '';
  return startBuild(orchestrator, { projectId, spec: { prompt: PROMPT } }, 'token_bench');
}

const build = oneMore('a build, from its start to its end', 'build_audit', async (stage) => async ({ seconds }) => {
  const accepted = await closedLoop({ seconds: seconds / 2, outstanding: OUTSTANDING }, (index) => start(stage, index));
  const startedAt = performance.now();
  for (let left = accepted.operations; left > 0; ) {
    const builds = await stage.claim(Math.min(left, AT_ONCE));
    if (builds.length === 0) throw new Error(`${left} builds do not come`);
    await Promise.all(builds.map((one) => end(stage.orchestrator, one)));
    left -= builds.length;
  }
  return { operations: accepted.operations, seconds: accepted.seconds + (performance.now() - startedAt) / 1_000 };
});

async function end(orchestrator: Orchestrator, build: ClaimedBuild): Promise<void> {
  const ledger = openPostgresLedger(orchestrator, build);
  await ledger.finish(CONCLUSION);
  await ledger.ask('reportEnd');
}

const event = oneMore('an event of a running build', 'build_events', async (stage) => {
  for (let n = 0; n < AT_ONCE; n += 1) await start(stage, n);
  const ledgers = (await stage.claim(AT_ONCE)).map((one) => openPostgresLedger(stage.orchestrator, one));
  const events = Array.from({ length: EVENTS_OF_ENTRY }, () => EVENT);
  return async ({ seconds }) => {
    const load = await closedLoop({ seconds, outstanding: 2 * AT_ONCE }, async (index) =>
      ledgers[index % ledgers.length]?.write({ events }),
    );
    return { operations: load.operations * EVENTS_OF_ENTRY, seconds: load.seconds };
  };
});

const project = oneMore('a project', 'projects', async ({ orchestrator }) => {
  let count = 0;
  return async ({ seconds }) =>
    closedLoop({ seconds, outstanding: 8 }, () => {
      count += 1;
      return createProject(orchestrator, { name: 'Bench', slug: `more-${count}` }, 'token_bench');
    });
});

export const figures: readonly Figure[] = [
  {
    name: 'footprint',
    title: 'what one more of everything costs',
    cases: [build, event, project],
    goals: [],
    isLong: true,
  },
];
