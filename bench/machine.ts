/** Where and on what a run was made. */
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { type BenchPostgres, describePostgres } from './database.ts';
import { findPgbench } from './pgbench.ts';
import type { Machine } from './report.ts';

const FSYNC_MS = 300;
const PAGE = Buffer.alloc(8_192, 1);

export async function describeMachine(postgres: BenchPostgres): Promise<Machine> {
  const models = cpus().map(({ model }) => model);
  const own = await readVersions(new URL('../package.json', import.meta.url), ['pg', 'pg-boss', 'graphql-yoga', 'ws']);
  const peers = await readVersions(new URL('package.json', import.meta.url), ['graphile-worker', 'mercurius']);
  return {
    node: process.version,
    cpus: `${models.length} x ${models[0]}`,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    pgbench: findPgbench() ?? 'no pgbench: a pool of prepared statements stands in',
    fsyncsPerSecond: await measureFsync(),
    postgres: await describePostgres(postgres),
    peers: { ...own, ...peers },
  };
}

async function readVersions(file: URL, names: readonly string[]): Promise<Record<string, string>> {
  const { dependencies } = JSON.parse(await readFile(file, 'utf8')) as { dependencies: Record<string, string> };
  return Object.fromEntries(names.map((name) => [name, dependencies[name] ?? '?']));
}

async function measureFsync(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-fsync-'));
  const file = await open(join(folder, 'page'), 'w');
  try {
    const startedAt = performance.now();
    let count = 0;
    for (; performance.now() - startedAt < FSYNC_MS; count += 1) {
      await file.write(PAGE, 0, PAGE.length, 0);
      await file.datasync();
    }
    return (count * 1_000) / (performance.now() - startedAt);
  } finally {
    await file.close();
    await rm(folder, { recursive: true, force: true });
  }
}
