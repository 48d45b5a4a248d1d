/** Builds as the versions before migration 0016 wrote them: their rows, and their jobs in pg-boss. */
import { sql } from 'kysely';
import { fromKysely, PgBoss } from 'pg-boss';
import { v7 } from 'uuid';
import { DEFAULT_LIMITS } from '../../src/builds/build-spec.ts';
import type { Database } from '../../src/database/database.ts';

/** The queue of pg-boss in which all builds waited. */
const BUILDS = 'builds';

export interface EarlierBuild {
  readonly prompt: string;
  readonly provider?: string;
  readonly priority?: number;
  /** How long ago it was accepted; the one that is added later is younger unless it says so. */
  readonly agedMs?: number;
  readonly runAfter?: Date;
  /** Its provider refused the attempt that ran; it waits until then. */
  readonly resumeAt?: Date;
  /** A worker that is dead by now had claimed it. */
  readonly lost?: boolean;
}

export interface EarlierQueue extends AsyncDisposable {
  /** Returns its id. */
  add(projectId: string, build: EarlierBuild): Promise<string>;
}

/** `db` has the migrations before 0016. */
export async function openEarlierQueue(db: Database): Promise<EarlierQueue> {
  const boss = new PgBoss({ db: fromKysely(db), supervise: false, schedule: false, migrate: true });
  boss.on('error', () => {});
  await boss.start();
  await boss.createQueue(BUILDS, { retryLimit: 10_000, expireInSeconds: 86_400, retentionSeconds: 365 * 86_400 });
  const worker = v7();
  await sql`insert into workers (id, name, host, process, version, capacity, heartbeat_at)
    values (${worker}, 'earlier', 'elsewhere', '1 1 1 1', '0.0.1', 1, now() - interval '1 hour')`.execute(db);
  let number = 0;
  return {
    async add(projectId, build) {
      number += 1;
      const id = v7();
      const { lost = false, runAfter, resumeAt, agedMs = 600_000 - number * 1_000, priority = 0 } = build;
      const attempts = lost || resumeAt ? 1 : 0;
      await sql`
        insert into build_audit (id, project_id, number, status, phase, waiting_for, resume_at, source, spec, priority,
                                 run_after, attempt_no, worker_id, lease_until, requested_by, created_at, started_at)
        values (${id}, ${projectId}, ${number}, ${lost ? 'RUNNING' : 'PENDING'}, ${lost ? 'AGENT' : 'QUEUED'},
                ${resumeAt ? 'QUOTA' : null}, ${resumeAt ?? null}, 'API', ${specOf(build)}::jsonb, ${priority},
                ${runAfter ?? null}, ${attempts}, ${lost ? worker : null},
                case when ${lost} then now() - interval '1 minute' end, 'test',
                now() - make_interval(secs => ${agedMs / 1_000}),
                case when ${attempts > 0} then now() - interval '1 minute' end)`.execute(db);
      await sql`update projects set build_count = ${number} where id = ${projectId}`.execute(db);
      const events = JSON.stringify([{ type: 'QUEUED', data: { runAfter: runAfter ?? null, retryOf: null } }]);
      await sql`select append_build_events(${id}, null, ${events}::jsonb)`.execute(db);
      if (attempts > 0) {
        await sql`insert into build_attempts (build_id, attempt_no, worker_id, ended_at, outcome)
          values (${id}, 1, ${worker}, case when not ${lost} then now() end, ${lost ? null : 'RELEASED'})`.execute(db);
      }
      const startAfter = resumeAt ?? runAfter;
      await boss.send(BUILDS, null, { id, priority, ...(startAfter ? { startAfter } : {}) });
      if (lost) await sql`update pgboss.job set state = 'active', started_on = now() where id = ${id}`.execute(db);
      return id;
    },
    [Symbol.asyncDispose]: () => boss.stop({ graceful: false, close: false }),
  };
}

function specOf({ prompt, provider = 'scripted', priority = 0, runAfter }: EarlierBuild): string {
  return JSON.stringify({
    prompt,
    template: null,
    variables: {},
    autoCommit: true,
    autoPush: true,
    callbackUrl: null,
    provider,
    model: null,
    branch: 'main',
    priority,
    labels: {},
    limits: DEFAULT_LIMITS,
    runAfter: runAfter?.toISOString() ?? null,
    resumeSessionOf: null,
  });
}
