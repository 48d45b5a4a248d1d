/** What a worker has run: its attempts, also those at builds that have gone on elsewhere. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { type Keyset, readChildPages } from '../database/keyset.ts';

export interface WorkerAttempt {
  /** In the order in which attempts begin. */
  readonly seq: number;
  readonly buildId: string;
  readonly attemptNo: number;
  readonly startedAt: Date;
  /** Null: it runs. */
  readonly endedAt: Date | null;
  readonly outcome: 'FINISHED' | 'LOST' | 'RELEASED' | null;
}

export interface WorkerAttempts {
  /** UUIDs. */
  readonly workerIds: readonly string[];
  /** Only attempts at builds of these; null means all. */
  readonly projectIds: readonly string[] | null;
}

/** The same page of each worker's attempts, by `seq`, in one statement. */
export async function listAttemptsOf(
  db: Database,
  { workerIds, projectIds }: WorkerAttempts,
  keyset: Keyset,
): Promise<Map<string, WorkerAttempt[]>> {
  return readChildPages(db, {
    parents: workerIds,
    childrenOf: (worker) => {
      const attempts = db
        .selectFrom('build_attempts')
        .select(['seq', 'build_id as buildId', 'attempt_no as attemptNo'])
        .select(['started_at as startedAt', 'ended_at as endedAt', 'outcome'])
        .where(sql<boolean>`worker_id = ${worker}`);
      if (projectIds === null) return attempts;
      return attempts.where(
        sql<boolean>`exists (select from build_audit b
          where b.id = build_attempts.build_id and b.project_id = any(${projectIds}::uuid[]))`,
      );
    },
    column: 'seq',
    keyset,
  });
}
