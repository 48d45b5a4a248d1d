/** Builds that many API processes accept one by one, while all of them listen: what it costs that others are told. */
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import { createProject } from '../../src/projects/create-project.ts';
import type { Case, Figure } from '../figure.ts';
import { openProduct } from '../product.ts';
import type { Acceptors, main } from '../programs/acceptors.ts';

const PROGRAM = new URL('../programs/acceptors.ts', import.meta.url);
const API_PROCESSES = 20;
/** Of this bench: each is the half of them, with their connections and acceptors, because twenty would have no room. */
const PROGRAMS = 2;
const PROJECTS = 200;
const HEARD_WITHIN_MS = 20_000;

interface About extends Pick<Case, 'name' | 'role'> {
  readonly tells: boolean;
}

function accepting({ name, role, tells }: About): Case {
  return {
    name,
    role,
    async open(bench) {
      const { url, db } = await bench.database({ migrated: true, poolSize: 1 });
      const projectIds = await addProjects(url);
      const settings: Acceptors = { databaseUrl: url, count: API_PROCESSES / PROGRAMS, tells, projectIds };
      const programs = await Promise.all(
        Array.from({ length: PROGRAMS }, () => bench.program<typeof main>(PROGRAM, settings)),
      );
      return {
        async run({ seconds }) {
          const before = await countBuilds(db);
          const turns = programs.map((program, index) => program.call('run', { seconds, from: before + index * 100 }));
          const loads = await Promise.all(turns);
          const operations = loads.reduce((sum, load) => sum + load.operations, 0);
          return {
            operations,
            seconds: Math.max(...loads.map((load) => load.seconds)),
            latenciesMs: loads.flatMap((load) => [...load.latenciesMs]),
            async proof() {
              const rows = {
                what: 'builds and answers',
                expected: operations,
                found: (await countBuilds(db)) - before,
              };
              if (!tells) return [rows];
              const told = await countProjects(db, operations);
              const heard = programs.map((one) => one.call('heard', { expected: told, withinMs: HEARD_WITHIN_MS }));
              const found = Math.min(...(await Promise.all(heard)));
              return [rows, { what: 'projects that every process has heard of', expected: told, found }];
            },
          };
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

async function addProjects(url: string): Promise<string[]> {
  await using product = await openProduct(url);
  const ids: string[] = [];
  for (let n = 0; n < PROJECTS; n += 1) {
    ids.push((await createProject(product.orchestrator, { name: 'Bench', slug: `bench-${n}` }, 'token_bench')).id);
  }
  return ids;
}

async function countBuilds(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from build_audit`.execute(db);
  return rows[0]?.n ?? 0;
}

/** Of the builds that came last. */
async function countProjects(db: Database, builds: number): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(distinct project_id)::int as n
    from (select project_id from build_audit order by id desc limit ${builds}::int) b`.execute(db);
  return rows[0]?.n ?? 0;
}

const OURS = 'startBuild';
const SILENT = 'nobody is told';

export const figures: readonly Figure[] = [
  {
    name: 'accept-apart',
    isLong: true,
    title: `startBuild by ${API_PROCESSES} API processes that listen, one caller each, against the same without a NOTIFY`,
    cases: [
      { name: OURS, role: 'ours', tells: true } as const,
      { name: SILENT, role: 'limit', tells: false } as const,
    ].map(accepting),
    goals: [{ metric: 'rate', of: OURS, against: SILENT, atLeast: 0.7 }],
  },
];
