/** Can this process serve? Each check has a name, so that an operator knows where to look. */
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { readMigrations } from '../database/migrate.ts';
import type { Orchestrator } from '../orchestrator.ts';
import type { FailingCheck } from './probes.ts';

/** Probes give up after a few seconds; we answer before. */
const CHECK_TIMEOUT_MS = 2_000;

export interface ReadinessOptions {
  /** Aborts when this process is about to end. */
  readonly draining?: AbortSignal | undefined;
  /** This process is there to run builds, and for nothing else: an API takes them, too, while they cannot be run. */
  readonly runsBuilds?: boolean;
}

/** Gives a function that finds the first failing check; null when all is well. */
export async function createReadiness(
  { db, hub, runtime }: Orchestrator,
  { draining, runsBuilds = false }: ReadinessOptions = {},
): Promise<() => Promise<FailingCheck | null>> {
  const expected = (await readMigrations()).map((migration) => migration.name);

  const missingMigrations = async (): Promise<readonly string[]> => {
    const applied = await sql<{ name: string }>`select name from migration_checksums`.execute(db);
    const names = new Set(applied.rows.map((row) => row.name));
    return expected.filter((name) => !names.has(name));
  };

  return async () => {
    if (draining?.aborted) return { name: 'draining', detail: 'This process ends soon.' };
    const missing = await withTimeout(missingMigrations()).catch((error: unknown) =>
      isUndefinedTable(error) ? expected : null,
    );
    if (missing === null) return { name: 'database', detail: 'The database does not answer.' };
    if (missing.length > 0) return { name: 'migrations', detail: `Not applied: ${missing.join(', ')}.` };
    if (!hub.listening) return { name: 'events', detail: 'The LISTEN connection is down; it is being reopened.' };
    const problem = runsBuilds ? runtime.problem() : null;
    if (problem !== null) return { name: 'runtime', detail: `No builds are claimed until they can be run. ${problem}` };
    return null;
  };
}

function isUndefinedTable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42P01';
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  try {
    const late = delay(CHECK_TIMEOUT_MS, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`no answer within ${CHECK_TIMEOUT_MS} ms`);
    });
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
