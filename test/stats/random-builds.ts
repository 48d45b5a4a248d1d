/** Builds in every state, with times and costs of their own, straight into the tables. */
import fc from 'fast-check';
import { v7 } from 'uuid';
import type { Database } from '../../src/database/database.ts';
import type { BuildStatus } from '../../src/events/vocabulary.ts';

export interface CountedBuild {
  readonly status: BuildStatus;
  readonly createdAt: Date;
  readonly runAfter: Date | null;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly costUsd: number | null;
  readonly provider: string;
  readonly template: string | null;
  readonly label: string | null;
}

const offset = fc.integer({ min: 0, max: 5_000_000 });

/** Builds that were accepted between `from` and `to`. */
export function countedBuild(from: Date, to: Date): fc.Arbitrary<CountedBuild> {
  return fc
    .record({
      status: fc.constantFrom<BuildStatus>('PENDING', 'RUNNING', 'COMPLETED', 'COMPLETED', 'FAILED', 'CANCELLED'),
      createdAt: fc.date({ min: from, max: new Date(to.getTime() - 1), noInvalidDate: true }),
      delay: fc.option(offset, { freq: 4 }),
      wait: offset,
      duration: offset,
      started: fc.boolean(),
      costUsd: fc.option(fc.integer({ min: 0, max: 1_000 }).map((cents) => cents / 100)),
      provider: fc.constantFrom('scripted', 'claude-code'),
      template: fc.constantFrom(null, 'site@1.0.0', 'site@1.1.0', 'site-two@1.0.0'),
      label: fc.constantFrom(null, 'red', 'blue'),
    })
    .map(({ createdAt, delay, wait, duration, started, status, ...rest }) => {
      const later = (base: Date, ms: number) => new Date(base.getTime() + ms);
      const hasStarted = status === 'RUNNING' || (status !== 'PENDING' && started);
      const runAfter = delay === null ? null : later(createdAt, delay);
      const startedAt = hasStarted ? later(runAfter ?? createdAt, wait) : null;
      const isOver = status !== 'PENDING' && status !== 'RUNNING';
      const finishedAt = isOver ? later(startedAt ?? createdAt, duration) : null;
      return { status, createdAt, runAfter, startedAt, finishedAt, ...rest };
    });
}

export async function insertProject(db: Database): Promise<string> {
  const id = v7();
  const project = { id, slug: id, name: 'Counted', default_branch: 'main', created_by: 'test' };
  await db.insertInto('projects').values(project).execute();
  return id;
}

export async function insertWorker(db: Database): Promise<string> {
  const id = v7();
  const worker = { id, name: 'counted', host: 'test', process: 'test', version: '0', capacity: 1 };
  await db.insertInto('workers').values(worker).execute();
  return id;
}

export async function insertCountedBuilds(
  db: Database,
  { projectId, workerId }: { readonly projectId: string; readonly workerId: string },
  builds: readonly CountedBuild[],
): Promise<void> {
  if (builds.length === 0) return;
  const rows = builds.map((build, index) => {
    const { provider, template, label, status } = build;
    const labels = label === null ? {} : { colour: label };
    return {
      id: v7(),
      project_id: projectId,
      number: index + 1,
      source: 'API' as const,
      spec: JSON.stringify({ provider, template, branch: 'main', labels }),
      requested_by: 'test',
      created_at: build.createdAt,
      run_after: build.runAfter,
      started_at: build.startedAt,
      finished_at: build.finishedAt,
      status,
      phase: status === 'PENDING' ? ('QUEUED' as const) : status === 'RUNNING' ? ('AGENT' as const) : ('DONE' as const),
      attempt_no: build.startedAt ? 1 : 0,
      worker_id: build.startedAt ? workerId : null,
      lease_until: status === 'RUNNING' ? new Date() : null,
      ...(build.finishedAt ? { result: '{}' } : {}),
      ...(status === 'FAILED' ? { failure: '{}' } : {}),
      ...(build.costUsd === null ? {} : { usage: JSON.stringify({ costUsd: build.costUsd }) }),
    };
  });
  // Rows of one statement have the same columns.
  for (const row of rows) await db.insertInto('build_audit').values(row).execute();
}

export async function deleteBuilds(db: Database): Promise<void> {
  await db.deleteFrom('build_audit').execute();
}
