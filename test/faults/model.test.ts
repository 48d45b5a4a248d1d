/**
 * The life of builds as random sequences of commands against the real SQL, compared with a reference model after every
 * one; and the same against copies of the source in which one safeguard is missing, which must fail.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { openEmptyDatabase } from '../support/database.ts';

const ROOT = join(import.meta.dirname, '../..');
const RUNS = 200;
/** A missing safeguard must be noticed within so many. */
const MUTANT_RUNS = 300;
const DEADLINE_MS = 200_000;
const SEED = Number(process.env.MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Report {
  readonly failed: boolean;
  readonly runs: number;
  readonly commands: number;
  readonly builds: number;
  readonly error: string | null;
  readonly counterexample: string;
}

interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Each takes one safeguard away. `from` must be in the file exactly once. */
const MUTANTS: readonly Mutant[] = [
  {
    name: 'the fence',
    file: 'migrations/0030_ledger.sql',
    from: `case when b.attempt_no <> e.attempt_no then 'SUPERSEDED'
                when b.status = 'RUNNING' and b.ledger_no = e.number - 1 then 'APPLIED'`,
    to: `case when true then 'APPLIED'`,
  },
  {
    name: 'the push intent',
    file: 'src/builds/postgres-ledger.ts',
    from: '        push_intent_sha: commit.sha,\n',
    to: '',
  },
  {
    name: 'the refusal of an intent after a cancel',
    file: 'src/builds/postgres-ledger.ts',
    from: `.where('cancel_requested_at', 'is', null)\n      .executeTakeFirst();\n    const allowed`,
    to: `.executeTakeFirst();\n    const allowed`,
  },
  {
    name: 'the unique index of idempotency keys',
    file: 'migrations/0028_accept_builds.sql',
    from: 'create unique index build_audit_idempotency_key',
    to: 'create index build_audit_idempotency_key',
  },
  {
    name: 'the end of its place in the queue together with the build',
    file: 'migrations/0030_ledger.sql',
    from: 'freed := cardinality(queue_remove_many(v_ids)) > 0;',
    to: 'freed := false;',
  },
];

async function run(root: string, runs: number): Promise<Report> {
  await using database = await openEmptyDatabase();
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(root, 'test/faults/model/main.ts'), database.url, String(runs), String(SEED)],
    { timeout: DEADLINE_MS, maxBuffer: 64 * 1024 * 1024 },
  );
  return JSON.parse(stdout);
}

/** A copy of the source without one safeguard. */
async function plant(mutant: Mutant): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'slipway-mutant-'));
  for (const part of ['src', 'migrations', 'test/faults/model', 'package.json']) {
    await cp(join(ROOT, part), join(root, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  const file = join(root, mutant.file);
  const parts = (await readFile(file, 'utf8')).split(mutant.from);
  if (parts.length !== 2) throw new Error(`“${mutant.name}” is not once in ${mutant.file}: adapt this test`);
  await writeFile(file, parts.join(mutant.to));
  return root;
}

describe('the life of builds', () => {
  it('is what the model says, whatever happens in whatever order', { timeout: DEADLINE_MS }, async () => {
    const report = await run(ROOT, RUNS);
    console.info(`model: ${report.runs} runs, ${report.commands} commands, ${report.builds} builds, seed ${SEED}`);
    expect(report.failed, `seed ${SEED}: ${report.error}\n${report.counterexample}`).toBe(false);
  });

  it.each(MUTANTS)('is not that without $name', { timeout: DEADLINE_MS }, async (mutant) => {
    const root = await plant(mutant);
    try {
      const { failed, runs, error } = await run(root, MUTANT_RUNS);
      console.info(`without ${mutant.name}: noticed in run ${runs}: ${error?.split('\n', 1)[0]}`);
      expect(failed).toBe(true);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
