/** Statements by pgbench, the usual limit; where it is not on the PATH, a pool of prepared statements stands in. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Rig, Turn } from './figure.ts';
import { closedLoop, type Load } from './load.ts';

const run = promisify(execFile);
/** After which one that has done nothing is not tried for longer. */
const MOST_SECONDS = 8;

export interface Script {
  /** Each transaction draws these, evenly and with both ends; a statement names one as `:name`. */
  readonly random?: Readonly<Record<string, readonly [from: number, to: number]>>;
  /** One is a transaction of its own; several are one together. */
  readonly statements: readonly string[];
}

export interface Statements {
  readonly url: string;
  readonly clients: number;
  readonly script: Script;
}

/** `pgbench (PostgreSQL) 15.18`; null when it is not there. */
export function findPgbench(): string | null {
  const { status, stdout } = spawnSync('pgbench', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

/** Runs the script as often as it can. `prove` looks at the rows of so many transactions of this repetition. */
export function statementsRig(
  options: Statements,
  prove: (transactions: number) => ReturnType<Awaited<ReturnType<Rig['run']>>['proof']>,
): Rig {
  const isFresh = findPgbench() !== null;
  const load = isFresh ? runPgbench : runPool;
  return {
    isFresh,
    async run(turn) {
      const done = await load(options, turn);
      return { ...done, proof: () => prove(done.operations) };
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** Its clock runs while it connects, which takes longer than a short turn on a busy machine: then it is given more. */
async function runPgbench(options: Statements, { seconds }: Turn): Promise<Load> {
  for (let given = seconds; ; given = Math.max(1, given) * 2) {
    const load = await pgbenchFor(options, given);
    if (load.operations > 0 || given >= MOST_SECONDS) return load;
  }
}

async function pgbenchFor({ url, clients, script }: Statements, seconds: number): Promise<Load> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-pgbench-'));
  try {
    const file = join(folder, 'script.sql');
    await writeFile(file, scriptText(script));
    const { username, password, hostname, port, pathname } = new URL(url);
    const { stdout } = await run(
      'pgbench',
      [
        ...['--no-vacuum', '--protocol=prepared', `--file=${file}`, `--client=${clients}`],
        // It counts in whole seconds.
        ...[`--jobs=${Math.min(2, clients)}`, `--time=${Math.max(1, Math.round(seconds))}`],
        ...['--log', `--log-prefix=${join(folder, 'log')}`, pathname.slice(1)],
      ],
      { env: { PATH: process.env.PATH, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password } },
    ).catch(({ stderr }: { stderr?: string }) => {
      throw new Error(`pgbench: ${stderr?.slice(0, 500)}`);
    });
    const operations = Number(/actually processed: (\d+)/.exec(stdout)?.[1]);
    const rate = Number(/^tps = ([\d.]+) \(without/m.exec(stdout)?.[1]);
    return { operations, seconds: rate > 0 ? operations / rate : seconds, latenciesMs: await readLog(folder) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function scriptText({ random = {}, statements }: Script): string {
  const sets = Object.entries(random).map(([name, [from, to]]) => `\\set ${name} random(${from}, ${to})`);
  const lines = statements.map((statement) => `${statement.replaceAll(/\s*\n\s*/g, ' ').trim()};`);
  return `${[...sets, ...(lines.length > 1 ? ['begin;', ...lines, 'commit;'] : lines)].join('\n')}\n`;
}

/** The third column is the transaction's time in µs. */
async function readLog(folder: string): Promise<number[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('log.'));
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.flatMap((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.split(' ')[2]) / 1_000),
  );
}

async function runPool({ url, clients, script }: Statements, { seconds }: Turn): Promise<Load> {
  const { random = {}, statements } = script;
  const open = Array.from({ length: clients }, () => new pg.Client({ connectionString: url }));
  await Promise.all(open.map((client) => client.connect()));
  try {
    const names = Object.keys(random);
    const prepared = statements.map((text, index) => {
      const used = names.filter((name) => new RegExp(`(?<!:):${name}\\b`).test(text));
      const numbered = used.reduce(
        (given, name, at) => given.replaceAll(new RegExp(`(?<!:):${name}\\b`, 'g'), `$${at + 1}`),
        text,
      );
      return { name: `statement-${index}`, text: numbered, used };
    });
    const idle = [...open];
    return await closedLoop({ seconds, outstanding: clients }, async () => {
      const client = idle.pop() as pg.Client;
      const drawn = Object.fromEntries(
        Object.entries(random).map(([name, [from, to]]) => [name, from + Math.floor(Math.random() * (to - from + 1))]),
      );
      if (prepared.length > 1) await client.query('begin');
      for (const { used, ...query } of prepared)
        await client.query({ ...query, values: used.map((key) => drawn[key]) });
      if (prepared.length > 1) await client.query('commit');
      idle.push(client);
    });
  } finally {
    await Promise.all(open.map((client) => client.end()));
  }
}
