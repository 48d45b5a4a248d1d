/** pg-boss opened and closed, and every job on one page. A build's job carries nothing but the build's id. */
import { type RawBuilder, sql } from 'kysely';
import { fromKysely, PgBoss } from 'pg-boss';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Builds that are ready, or will be at their time. The job's id is the build's id. */
const BUILDS = 'builds';

/**
 * pg-boss' own retry and expiry never decide about a build: our lease does. So its limits are out of the way, and a
 * job that it hands out twice is refused by the claim, which looks at the build's row.
 */
const BUILDS_OPTIONS = {
  retryLimit: 10_000,
  expireInSeconds: 24 * 60 * 60,
  retentionSeconds: 365 * 24 * 60 * 60,
  deleteAfterSeconds: 60 * 60,
  notify: false,
};

export interface QueuedBuild {
  readonly id: string;
  /** Higher goes first. */
  readonly priority: number;
  readonly runAfter: Date | null;
}

export class Queue implements AsyncDisposable {
  readonly #boss: PgBoss;

  constructor(boss: PgBoss) {
    this.#boss = boss;
  }

  /** Makes the build claimable when the transaction commits. Throws if it has a job already. */
  async add(trx: DatabaseTransaction, build: QueuedBuild): Promise<void> {
    const id = await this.#boss.send(BUILDS, null, {
      id: build.id,
      priority: build.priority,
      ...(build.runAfter ? { startAfter: build.runAfter } : {}),
      db: fromKysely(trx),
    });
    if (id === null) throw new Error(`build ${build.id} has a job already`);
  }

  /** Makes a build claimable again, whatever its job's state is. */
  async putBack(trx: DatabaseTransaction, build: QueuedBuild): Promise<void> {
    await this.remove(trx, build.id);
    await this.add(trx, build);
  }

  /** Takes up to `limit` builds in the transaction of the claim; rolled back, they are as before. */
  async take(trx: DatabaseTransaction, limit: number): Promise<string[]> {
    const jobs = await this.#boss.fetch(BUILDS, { batchSize: limit, db: fromKysely(trx) });
    return jobs.map((job) => job.id);
  }

  /** Waits for whoever is taking this build. Lock order, here and everywhere: job, then build row, then project row. */
  async lock(trx: DatabaseTransaction, buildId: string): Promise<void> {
    await sql`select 1 from pgboss.job where name = ${BUILDS} and id = ${buildId} for update`.execute(trx);
  }

  /** Is there a job that will give the build out, or has given it out? */
  async isQueued(trx: DatabaseTransaction, buildId: string): Promise<boolean> {
    const { rows } = await sql`select 1 from pgboss.job ${unfinishedJobOf(sql`${buildId}::uuid`)}`.execute(trx);
    return rows.length > 0;
  }

  /** At most `limit` builds that have waited for more than a minute and that no job will ever give out. */
  async findUnqueued(db: Database, limit: number): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      select b.id
        from build_audit b
       where b.status = 'PENDING' and b.created_at < now() - interval '1 minute'
         and not exists (select 1 from pgboss.job ${unfinishedJobOf(sql`b.id`)})
       limit ${limit}`.execute(db);
    return rows.map((row) => row.id);
  }

  async complete(trx: DatabaseTransaction, buildId: string): Promise<void> {
    await this.#boss.complete(BUILDS, buildId, null, { db: fromKysely(trx), includeQueued: true });
  }

  async remove(trx: DatabaseTransaction, buildId: string): Promise<void> {
    await this.#boss.deleteJob(BUILDS, buildId, { db: fromKysely(trx) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#boss.stop({ graceful: false, close: false });
  }
}

/** pg-boss orders a job's states: created, retry and active come before completed. */
function unfinishedJobOf(buildId: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`where name = ${BUILDS} and id = ${buildId} and state < 'completed'`;
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

/** Installs or updates pg-boss' schema and our queues; part of `migrate`. Safe to repeat. */
export async function migrateQueue(options: Omit<QueueOptions, 'supervise'>): Promise<void> {
  const boss = new PgBoss({ db: fromKysely(options.db), supervise: false, schedule: false, migrate: true });
  boss.on('error', (error) => options.logger.warn({ error: error.message }, 'pg-boss reported an error'));
  await boss.start();
  try {
    if (await boss.getQueue(BUILDS)) await boss.updateQueue(BUILDS, BUILDS_OPTIONS);
    else await boss.createQueue(BUILDS, BUILDS_OPTIONS);
  } finally {
    await boss.stop({ graceful: false, close: false });
  }
}
