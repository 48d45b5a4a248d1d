/** A page of builds over HTTP, by a token that is looked up for each request. */
import { type ApiData, type HttpServerMain, openApiData, openApiLoad } from '../api.ts';
import type { Case, Figure, Role } from '../figure.ts';
import { storeBuilds } from '../stored-builds.ts';

const CLIENTS = 32;
const BUILDS = 20;
const FIELDS = 'id number status phase source priority createdAt startedAt requestedBy attempt lastEventCursor';
const QUERY = `{ builds(first: ${BUILDS}) { nodes { ${FIELDS} } } }`;

interface ServerOptions {
  readonly name: string;
  readonly role: Role;
  readonly program: string;
  readonly argument?: object;
}

function listBy({ name, role, program, argument }: ServerOptions): Case {
  return {
    name,
    role,
    async open(bench) {
      const data = await openApiData(bench, { projects: 2, builds: BUILDS });
      if (bench.size !== null) await storeBuilds(data.db, bench.size);
      const file = new URL(`../programs/${program}.ts`, import.meta.url);
      const server = await bench.program<HttpServerMain>(file, { databaseUrl: data.databaseUrl, ...argument });
      const load = await openApiLoad(bench, server, { authorization: data.authorization, clients: CLIENTS });
      const expected = await listOf(data);
      return {
        async run({ seconds }) {
          const loaded = await load.run({ seconds, query: QUERY, expected });
          const what = `answers, and those with the ${BUILDS} builds. ${loaded.bad}`;
          return { ...loaded, proof: async () => [{ what, expected: loaded.operations, found: loaded.good }] };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

/** What each server must answer: from the rows, without any of them. */
async function listOf({ db }: ApiData): Promise<string> {
  const rows = await db.selectFrom('build_audit').selectAll().orderBy('id', 'desc').limit(BUILDS).execute();
  const nodes = rows.map((row) => ({
    ...{ id: `build_${row.id.replaceAll('-', '')}`, number: row.number, status: row.status, phase: row.phase },
    ...{ source: row.source, priority: row.priority, createdAt: row.created_at, startedAt: row.started_at },
    ...{ requestedBy: row.requested_by, attempt: row.attempt_no, lastEventCursor: String(row.last_seq) },
  }));
  return JSON.stringify({ data: { builds: { nodes } } }).slice(0, -1);
}

const OURS = 'Slipway';
const YOGA = 'Yoga, same schema';
const MERCURIUS = 'mercurius without JIT';

export const figures: readonly Figure[] = [
  {
    name: 'list',
    title: `a list of ${BUILDS} builds with 11 fields over HTTP, ${CLIENTS} clients`,
    cases: [
      listBy({ name: OURS, role: 'ours', program: 'slipway-server' }),
      listBy({ name: YOGA, role: 'peer', program: 'yoga-server', argument: { serves: 'list' } }),
      listBy({ name: MERCURIUS, role: 'peer', program: 'mercurius-server' }),
    ],
    goals: [
      { metric: 'rate', of: OURS, against: YOGA, atLeast: 5 },
      { metric: 'rate', of: OURS, against: MERCURIUS, atLeast: 1 },
    ],
    growth: { axis: 'stored builds', sizes: [100_000, 1_000_000, 10_000_000], metric: 'cpu' },
  },
];
