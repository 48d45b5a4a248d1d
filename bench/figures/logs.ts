/** What programs print is persisted: by the ledgers of builds that run, in batches as the reader of a run's output makes them. */
import { randomUUID } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import { sql } from 'kysely';
import pg from 'pg';
import { v7 } from 'uuid';
import type { LogLine } from '../../src/agents/agent.ts';
import { readLog } from '../../src/builds/build-log.ts';
import { claimBuilds } from '../../src/builds/claim-builds.ts';
import type { Ledger } from '../../src/builds/ledger.ts';
import { openPostgresLedger } from '../../src/builds/postgres-ledger.ts';
import { startBuild } from '../../src/builds/start-build.ts';
import type { Orchestrator } from '../../src/orchestrator.ts';
import { createProject } from '../../src/projects/create-project.ts';
import type { OutputLine } from '../../src/runtimes/runtime.ts';
import { createBatch } from '../../src/runtimes/tail-output.ts';
import { registerWorker } from '../../src/workers/registry.ts';
import type { Case, Figure, Proof, Sample } from '../figure.ts';
import { closedLoop } from '../load.ts';
import { openProduct } from '../product.ts';

const MEBIBYTE = 1024 * 1024;
const CHUNK = 64 * 1024;
/** Of different text; then it begins again. */
const LINES = 100_000;
/** Builds whose agents print at the same time. */
const AGENTS = 8;
/** A build stores no more than 20 MiB: each is written to up to here, and then the next one. */
const TEXT_OF_BUILD = 16 * MEBIBYTE;
const CLIENTS = 32;

const WORDS = 'resolve compile link test pass fail skip warn module import cache hit miss retry worker queue'.split(
  ' ',
);

/** Like the output of a test run: about 110 characters a line, of which zstd keeps a fifth. */
function makeLines(): PrintedLine[] {
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return seed % below;
  };
  const word = () => WORDS[random(WORDS.length)];
  return Array.from({ length: LINES }, (_, n) => {
    const file = `src/${word()}/${word()}-${random(400)}.ts:${random(900)}:${random(80)}`;
    const text = `[${1_700_000_000_000 + n * 7}] ${word()} ${file} ${word()} ${word()} in ${random(10_000)} ms, id ${random(1e9).toString(16)}, ${word()} ${word()} ${random(100)} %`;
    // One flat string, as what is read from a file is.
    return { stream: random(20) === 0 ? 'stderr' : 'stdout', text: Buffer.from(text).toString() };
  });
}

type PrintedLine = Pick<OutputLine, 'stream' | 'text'>;

interface Batch {
  readonly lines: readonly LogLine[];
  readonly text: string;
}

/** What the reader of a run's output yields while there is more to read. */
function batchesOf(lines: readonly PrintedLine[]): Batch[] {
  const batch = createBatch({ stdout: 0, stderr: 0 });
  const batches: Batch[] = [];
  for (const line of lines) {
    batch.add({ ...line, end: 0, truncated: false });
    if (!batch.isFull()) continue;
    const taken = batch.take().lines;
    batches.push({ lines: taken, text: taken.map(({ text }) => text).join('\n') });
  }
  return batches;
}

/** Builds that a worker has claimed, of which nobody writes yet. */
async function openLedgers(orchestrator: Orchestrator, count: number) {
  const { id: projectId } = await createProject(orchestrator, { name: 'Logs' }, 'token_bench');
  // One after the other: they are of one project.
  for (let n = 0; n < count; n += 1)
    await startBuild(orchestrator, { projectId, spec: { prompt: 'x' } }, 'token_bench');
  const worker = { id: v7(), name: 'bench', place: 'bench', version: '1', capacity: count, agents: [] };
  await registerWorker(orchestrator.db, worker);
  const claimer = { workerId: worker.id, workerName: 'bench', labels: ['provider:scripted'], projectIds: null };
  const claimed = await claimBuilds(orchestrator, { ...claimer, leaseSeconds: 3_600 }, count);
  return claimed.map((build) => ({ id: build.id, ledger: openPostgresLedger(orchestrator, build), written: 0 }));
}

const ours: Case = {
  name: 'ledger.write',
  role: 'ours',
  async open(bench) {
    const batches = batchesOf(makeLines());
    const database = await bench.database({ migrated: true });
    const product = await openProduct(database.url);
    const { orchestrator } = product;
    const open = await openLedgers(orchestrator, bench.isQuick ? 150 : 600);
    const current: (typeof open)[number][] = [];
    let linesBefore = 0;
    return {
      async run({ seconds }) {
        let length = 0;
        let lines = 0;
        let last: { readonly id: string; readonly text: string } | null = null;
        const write = async (agent: number, index: number) => {
          const batch = batches[index % batches.length] as Batch;
          if ((current[agent]?.written ?? TEXT_OF_BUILD) >= TEXT_OF_BUILD) current[agent] = next(open);
          const build = current[agent] as (typeof open)[number];
          await build.ledger.write({ lines: batch.lines });
          build.written += batch.text.length;
          length += batch.text.length;
          lines += batch.lines.length;
          last = { id: build.id, text: batch.text };
        };
        // Each agent's output is written in order: one write at a time.
        const idle = Array.from({ length: AGENTS }, (_, agent) => agent);
        const load = await closedLoop({ seconds, outstanding: AGENTS }, async (index) => {
          const agent = idle.pop() as number;
          await write(agent, index);
          idle.push(agent);
        });
        return sampleOf(load, length, async () => {
          const { rows } = await sql<{
            n: number;
          }>`select coalesce(sum(line_count), 0)::float8 as n from build_logs`.execute(database.db);
          const found = (rows[0]?.n ?? 0) - linesBefore;
          linesBefore += found;
          return [
            { what: 'stored lines and acknowledged lines', expected: lines, found },
            await readBack(orchestrator, last as { id: string; text: string } | null),
          ];
        });
      },
      [Symbol.asyncDispose]: () => product[Symbol.asyncDispose](),
    };
  },
};

function next(open: { readonly id: string; readonly ledger: Ledger; written: number }[]) {
  const build = open.pop();
  if (!build) throw new Error('all builds have printed what a build may print');
  return build;
}

/** What was written last is what is read. */
async function readBack({ db }: Orchestrator, last: { id: string; text: string } | null): Promise<Proof> {
  const { id = '', text = '' } = last ?? {};
  const what = 'the text that is read';
  const row = await db.selectFrom('build_logs').select('first_line').where('build_id', '=', id).execute();
  const firstLine = Math.max(...row.map(({ first_line }) => first_line));
  const chunks = await readLog(db, { buildId: id, after: firstLine - 1, limit: 1 });
  const found = chunks.flatMap(({ lines }) => lines.map((line) => line.text)).join('\n') === text;
  return { what, expected: 'as it was written', found: found ? 'as it was written' : 'another one' };
}

function sampleOf(
  load: { readonly seconds: number; readonly latenciesMs: readonly number[] },
  length: number,
  proof: Sample['proof'],
): Sample {
  return { ...load, operations: length / MEBIBYTE, proof };
}

/** A bare table, and what makes its rows of text: by a pool of connections, one row in each transaction. */
function bareRows(
  about: Pick<Case, 'name' | 'role'>,
  type: 'text' | 'bytea',
  encode: (text: string) => string | Buffer,
  size: number,
): Case {
  return {
    ...about,
    async open(bench) {
      const { url, db } = await bench.database({ migrated: false });
      await sql`create table logs (build_id uuid, first_line bigint, content ${sql.raw(type)}, primary key (build_id, first_line))`.execute(
        db,
      );
      if (type === 'bytea') await sql`alter table logs alter column content set storage external`.execute(db);
      const text = makeLines()
        .map((line) => line.text)
        .join('\n');
      const chunks = Array.from({ length: Math.floor(text.length / size) }, (_, n) =>
        text.slice(n * size, (n + 1) * size),
      );
      const pool = new pg.Pool({ connectionString: url, max: CLIENTS });
      // Connections that are about to end are ended with their database.
      pool.on('error', () => {});
      const id = randomUUID();
      let rowsBefore = 0;
      return {
        async run({ seconds }) {
          const load = await closedLoop({ seconds, outstanding: CLIENTS }, (index) =>
            pool.query({
              name: 'insert',
              text: 'insert into logs (build_id, first_line, content) values ($1, $2, $3)',
              values: [id, rowsBefore + index, encode(chunks[index % chunks.length] ?? '')],
            }),
          );
          return sampleOf(load, load.operations * size, async () => {
            const { rows } = await sql<{ n: number }>`select count(*)::float8 as n from logs`.execute(db);
            const found = (rows[0]?.n ?? 0) - rowsBefore;
            rowsBefore += found;
            return [{ what: 'rows and acknowledged chunks', expected: load.operations, found }];
          });
        },
        [Symbol.asyncDispose]: () => pool.end(),
      };
    },
  };
}

const zstd = (text: string) => zstdCompressSync(text, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
const PLAIN = 'plain text, INSERT of 64 KiB x32';

export const figures: readonly Figure[] = [
  {
    name: 'logs',
    title: `log text persisted (MiB), ${AGENTS} agents that print without an end, against plain text`,
    cases: [
      ours,
      bareRows({ name: PLAIN, role: 'peer' }, 'text', (text) => text, CHUNK),
      bareRows({ name: 'zstd of 1 MiB, bare INSERT', role: 'limit' }, 'bytea', zstd, MEBIBYTE),
    ],
    goals: [{ metric: 'rate', of: 'ledger.write', against: PLAIN, atLeast: 5, reached: 3.2 }],
  },
];
