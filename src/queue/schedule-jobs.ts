/** What pg-boss carries: one job for each schedule that is not paused, for the moment at which it is due. Its id is the schedule's. */
import { type RawBuilder, sql } from 'kysely';
import { fromKysely, type PgBoss } from 'pg-boss';
import type { Database, DatabaseTransaction } from '../database/database.ts';

export const SCHEDULES = 'schedules';

/**
 * A job is taken and made anew in one transaction, so pg-boss' own retry and expiry have nothing to do. A schedule may be
 * due after years.
 */
export const SCHEDULES_OPTIONS = {
  retryLimit: 10_000,
  expireInSeconds: 24 * 60 * 60,
  retentionSeconds: 365 * 24 * 60 * 60,
  deleteAfterSeconds: 60 * 60,
  notify: false,
};

export class ScheduleJobs {
  readonly #boss: PgBoss;

  constructor(boss: PgBoss) {
    this.#boss = boss;
  }

  /** In place of the one that the schedule has. */
  async put(trx: DatabaseTransaction, scheduleId: string, at: Date): Promise<void> {
    await this.remove(trx, scheduleId);
    const id = await this.#boss.send(SCHEDULES, null, { id: scheduleId, startAfter: at, db: fromKysely(trx) });
    if (id === null) throw new Error(`schedule ${scheduleId} has a job already`);
  }

  async remove(trx: DatabaseTransaction, scheduleId: string): Promise<void> {
    await this.#boss.deleteJob(SCHEDULES, scheduleId, { db: fromKysely(trx) });
  }

  /** A schedule whose time has come, for the transaction that puts or removes its job; rolled back, it is as before. */
  async take(trx: DatabaseTransaction): Promise<string | null> {
    const [job] = await this.#boss.fetch(SCHEDULES, { batchSize: 1, db: fromKysely(trx) });
    return job?.id ?? null;
  }

  /** Waits for whoever has taken it. Lock order: job, then schedule, then builds and project. */
  async lock(trx: DatabaseTransaction, scheduleId: string): Promise<void> {
    await sql`select 1 from pgboss.job where name = ${SCHEDULES} and id = ${scheduleId} for update`.execute(trx);
  }

  /** At most `limit` schedules that no job will ever make due. */
  async findLost(db: Database, limit: number): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`
      select s.id from schedules s
       where s.next_run_at is not null and not exists (select from pgboss.job ${jobOf(sql`s.id`)})
       order by s.next_run_at
       limit ${limit}`.execute(db);
    return rows.map(({ id }) => id);
  }

  async isLost(trx: DatabaseTransaction, scheduleId: string): Promise<boolean> {
    const { rows } = await sql`select from pgboss.job ${jobOf(sql`${scheduleId}::uuid`)}`.execute(trx);
    return rows.length === 0;
  }
}

/** pg-boss orders a job's states: created, retry and active come before completed. */
function jobOf(scheduleId: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`where name = ${SCHEDULES} and id = ${scheduleId} and state < 'completed'`;
}
