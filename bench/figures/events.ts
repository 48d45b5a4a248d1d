/** Events that one worker appends, beside the database or over the API: fenced, numbered and announced, of builds that run at the same time. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { createApiToken } from '../../src/auth/api-token.ts';
import type { ClaimedBuild } from '../../src/builds/build.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Database } from '../../src/database/database.ts';
import type { NewBuildEvent } from '../../src/events/event.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { createProject } from '../../src/projects/create-project.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import { type HttpServerMain, openApiData } from '../api.ts';
import type { Case, Figure } from '../figure.ts';
import { closedLoop } from '../load.ts';
import { type Script, statementsRig } from '../pgbench.ts';
import { openProduct } from '../product.ts';
import type { main as remoteWorker } from '../programs/remote-worker.ts';

const SERVER = new URL('../programs/slipway-server.ts', import.meta.url);
const WORKER = new URL('../programs/remote-worker.ts', import.meta.url);
const BUILDS = 32;
/** Of about 220 bytes as a row. */
const EVENT: NewBuildEvent = {
  type: 'AGENT_ACTIVITY',
  data: {
    content: {
      kind: 'message',
      text: 'I have found the stylesheet of the login page, and change its colours. '.repeat(2),
    },
  },
};

async function claimRunning(orchestrator: Orchestrator, count: number): Promise<readonly ClaimedBuild[]> {
  const workerId = v7();
  const worker = { id: workerId, name: 'bench', place: 'bench', version: '0', capacity: count, agents: [] };
  await registerWorker(orchestrator.db, worker);
  const { id: projectId } = await createProject(orchestrator, { name: 'Bench', slug: 'bench' }, 'token_bench');
  for (let n = 0; n < count; n += 1)
    await startBuild(orchestrator, { projectId, spec: { prompt: 'x' } }, 'token_bench');
  const claimer = { workerId, workerName: 'bench', labels: ['provider:scripted'], projectIds: null };
  return claimBuilds(orchestrator, claimer, count);
}

/** `perEntry`: what a build has gathered while its earlier entry was on its way. */
function ours(perEntry: number): Case {
  return {
    name: `Slipway, ${BUILDS} builds, ${perEntry} ${perEntry === 1 ? 'event' : 'events'} an entry`,
    role: 'ours',
    async open(bench) {
      const { url, db } = await bench.database({ migrated: true });
      const product = await openProduct(url);
      const builds = await claimRunning(product.orchestrator, BUILDS);
      const ledgers = builds.map((build) => openPostgresLedger(product.orchestrator, build));
      const events = Array.from({ length: perEntry }, () => EVENT);
      const prove = await eventsProof(db);
      return {
        async run({ seconds }) {
          const load = await closedLoop({ seconds, outstanding: BUILDS * 2 }, async (index) =>
            ledgers[index % BUILDS]?.write({ events }),
          );
          const operations = load.operations * perEntry;
          return { ...load, operations, proof: () => prove(operations) };
        },
        [Symbol.asyncDispose]: () => product[Symbol.asyncDispose](),
      };
    },
  };
}

/** Proves that there are as many more events as were acknowledged, and that each has a number. */
async function eventsProof(db: Database) {
  const count = async () => {
    const { rows } = await sql<{ rows: number; numbers: number }>`
      select (select count(*) from build_events where type = ${EVENT.type}) as rows,
             (select sum(last_seq - 3)::int8 from build_audit) as numbers`.execute(db);
    return rows[0] ?? { rows: 0, numbers: 0 };
  };
  let before = await count();
  return async (acknowledged: number) => {
    const after = await count();
    const proofs = (['rows', 'numbers'] as const).map((what) => ({
      what: `${what} of events and what was acknowledged`,
      expected: acknowledged,
      found: after[what] - before[what],
    }));
    before = after;
    return proofs;
  };
}

/** The same by a worker that has the API alone: server and worker are processes of their own. */
function remote(perEntry: number): Case {
  return {
    name: `a remote worker, ${BUILDS} builds, ${perEntry} ${perEntry === 1 ? 'event' : 'events'} an entry`,
    role: 'ours',
    async open(bench) {
      const { databaseUrl, db } = await openApiData(bench, { projects: 1, builds: BUILDS });
      const rights = { scopes: ['work'], projectIds: null, expiresAt: null, createdBy: 'bench' } as const;
      const { token } = await createApiToken(db, { name: 'worker', ...rights });
      // From another machine nobody reaches a repository of the server's own.
      await sql`update projects set repository_url = 'https://git.example/bench.git'`.execute(db);
      const server = await bench.program<HttpServerMain>(SERVER, { databaseUrl });
      const { origin } = new URL(await server.call('url'));
      const worker = await bench.program<typeof remoteWorker>(WORKER, {
        ...{ url: origin, token, builds: BUILDS, event: EVENT, perEntry },
      });
      const claimed = await worker.call('claimed');
      if (claimed !== BUILDS) throw new Error(`the worker has ${claimed} builds`);
      const prove = await eventsProof(db);
      return {
        async run({ seconds }) {
          const load = await worker.call('run', { seconds });
          const operations = load.operations * perEntry;
          return { ...load, operations, proof: () => prove(operations) };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

const INSERTS = 'pgbench, 32 clients, an INSERT each';

/** The same row, without fence, number or announcement. */
const inserts: Case = {
  name: INSERTS,
  role: 'limit',
  async open(bench) {
    const { url, db } = await bench.database({ migrated: true });
    const data = JSON.stringify(EVENT.data).replaceAll("'", "''").replaceAll('":', '": ');
    const script: Script = {
      random: { n: [1, 1_000_000] },
      statements: [
        `insert into build_events (build_id, seq, attempt_no, type, at, data)
         values (uuidv7(), :n, 1, '${EVENT.type}', clock_timestamp(), '${data}')`,
      ],
    };
    let before = 0;
    return statementsRig({ url, clients: 32, script }, async (expected) => {
      const { rows } = await sql<{ n: number }>`select count(*) as n from build_events`.execute(db);
      const found = (rows[0]?.n ?? 0) - before;
      before += found;
      return [{ what: 'rows and transactions', expected, found }];
    });
  },
};

const MANY = ours(50);
const REMOTE = remote(50);

export const figures: readonly Figure[] = [
  {
    name: 'events',
    title: 'events appended by one worker, against 32 concurrent inserts',
    cases: [MANY, REMOTE, ours(1), inserts],
    goals: [
      { metric: 'rate', of: MANY.name, against: INSERTS, atLeast: 5 },
      { metric: 'rate', of: REMOTE.name, against: MANY.name, atLeast: 0.5 },
    ],
  },
];
