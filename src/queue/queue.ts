/**
 * What is ready to run, and pg-boss opened and closed. What may start, and in which order, is decided in SQL: see
 * `migrations/0016_queue.sql`, `0023_queue_seams.sql` and `0026_queue_claims.sql`.
 */
import { sql } from 'kysely';
import { fromKysely, PgBoss } from 'pg-boss';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import { AskAgain } from './ask-again.ts';
import { SCHEDULES, SCHEDULES_OPTIONS, ScheduleJobs } from './schedule-jobs.ts';

export interface QueuedItem {
  readonly id: string;
  /** `build` is added by `addBuild`. */
  readonly kind: `task:${string}`;
  readonly projectId: string;
  /** Labels that a worker must have. */
  readonly needs: readonly string[];
  /** Items of a project with the same key run one at a time, or as many as their limit says. */
  readonly key: string | null;
  /** Higher goes first: each point is worth a minute of waiting. */
  readonly priority: number;
  /** Null: now. */
  readonly runAfter: Date | null;
}

export class Queue implements AsyncDisposable {
  readonly #boss: PgBoss;
  readonly schedules: ScheduleJobs;
  readonly again = new AskAgain();

  constructor(boss: PgBoss) {
    this.#boss = boss;
    this.schedules = new ScheduleJobs(boss);
  }

  /** Makes the item claimable when the transaction commits. Throws if it is in the queue already. */
  async add(trx: DatabaseTransaction, item: QueuedItem): Promise<void> {
    const { id, kind, projectId, needs, key, priority, runAfter } = item;
    const { rows } = await sql<{ added: boolean }>`
      select queue_add(${id}, ${kind}, ${projectId}, ${[...needs]}::text[], ${key ?? ''}, '', ${priority}, now(),
                       coalesce(${runAfter}, now())) as added`.execute(trx);
    if (!rows[0]?.added) throw new Error(`${id} is in the queue already`);
  }

  /** Makes a build claimable, from the time on that its row names. False: it is in the queue already, or does not wait. */
  async addBuild(trx: DatabaseTransaction, id: string): Promise<boolean> {
    const { rows } = await sql<{ added: boolean }>`select queue_add_build(${id}) as added`.execute(trx);
    return rows[0]?.added ?? false;
  }

  /** It waits again, at the place that its age gives it. False: it is not in the queue. */
  async putBack(trx: DatabaseTransaction, id: string, runAfter: Date | null): Promise<boolean> {
    const { rows } = await sql<{ back: boolean }>`
      select queue_put_back(${id}, coalesce(${runAfter}::timestamptz, clock_timestamp())) as back`.execute(trx);
    return rows[0]?.back ?? false;
  }

  /** What runs goes on with another worker, in the same place. False: it does not run, or the worker may not take it. */
  async passOn(
    trx: DatabaseTransaction,
    id: string,
    to: {
      readonly workerId: string;
      readonly labels: readonly string[];
      readonly projectIds: readonly string[] | null;
    },
  ): Promise<boolean> {
    const { numAffectedRows } = await sql`
      update queue_items set worker_id = ${to.workerId}
       where id = ${id} and claimed_at is not null and needs <@ ${[...to.labels]}::text[]
         and (${to.projectIds === null} or project_id = any(${[...(to.projectIds ?? [])]}::uuid[]))`.execute(trx);
    return numAffectedRows === 1n;
  }

  /** It has ended, or is not wanted any more. True: one that a limit holds back may be able to start after the commit. */
  async remove(trx: DatabaseTransaction, id: string): Promise<boolean> {
    const { rows } = await sql<{ freed: boolean }>`select queue_remove(${id}) as freed`.execute(trx);
    return rows[0]?.freed ?? false;
  }

  /** False: it does not wait. */
  async setPriority(trx: DatabaseTransaction, id: string, priority: number): Promise<boolean> {
    const { rows } = await sql<{ set: boolean }>`select queue_set_priority(${id}, ${priority}) as set`.execute(trx);
    return rows[0]?.set ?? false;
  }

  /** At most `limit` builds that have waited for more than a minute and that the queue will never give out. */
  async findUnqueued(db: Database, limit: number): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      select b.id
        from build_audit b
       where b.status = 'PENDING' and b.created_at < now() - interval '1 minute'
         and not exists (select from queue_items i where i.id = b.id)
       limit ${limit}`.execute(db);
    return rows.map((row) => row.id);
  }

  /** Removes what nothing is in any more: of keys and labels that are used once. Safe to repeat. */
  async tidy(db: Database): Promise<void> {
    await sql`select queue_tidy()`.execute(db);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.again[Symbol.dispose]();
    await this.#boss.stop({ graceful: false, close: false });
  }
}

export interface QueueOptions {
  readonly db: Database;
  readonly logger: Logger;
  /** Run pg-boss' maintenance in this process; any number of processes may. */
  readonly supervise: boolean;
}

export async function openQueue(options: QueueOptions): Promise<Queue> {
  const boss = new PgBoss({
    db: fromKysely(options.db),
    supervise: options.supervise,
    schedule: false,
    monitorVacuum: false,
    migrate: false,
    createSchema: false,
  });
  boss.on('error', (error) => options.logger.warn({ error: error.message }, 'pg-boss reported an error'));
  await boss.start();
  return new Queue(boss);
}

/** Installs or updates pg-boss' schema and our jobs in it; part of `migrate`. Safe to repeat. */
export async function migrateQueue(options: Omit<QueueOptions, 'supervise'>): Promise<void> {
  const boss = new PgBoss({ db: fromKysely(options.db), supervise: false, schedule: false, migrate: true });
  boss.on('error', (error) => options.logger.warn({ error: error.message }, 'pg-boss reported an error'));
  await boss.start();
  try {
    // Of versions in which pg-boss held what was ready.
    if (await boss.getQueue('builds')) await boss.deleteQueue('builds');
    if (await boss.getQueue(SCHEDULES)) await boss.updateQueue(SCHEDULES, SCHEDULES_OPTIONS);
    else await boss.createQueue(SCHEDULES, SCHEDULES_OPTIONS);
  } finally {
    await boss.stop({ graceful: false, close: false });
  }
}
