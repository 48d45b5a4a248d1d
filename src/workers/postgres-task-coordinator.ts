/** Hands out tasks from Postgres: to a worker beside it, and to the API that speaks for one elsewhere. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { LeaseLostError, NotFoundError, SupersededError } from '../errors.ts';
import { QUEUE_TOPIC, TASKS_TOPIC, taskTopic } from '../events/topics.ts';
import { findProject } from '../projects/project.ts';
import { type OpenTaskSecretsDeps, openTaskSecrets } from '../task-runs/open-task-secrets.ts';
import { RUN_TASK_TYPES, type RunTaskType, type TaskToRun } from '../task-runs/task-run.ts';
import type { TaskDeps } from '../tasks/lease.ts';
import type { ClaimedTask } from '../tasks/task.ts';
import type { TaskDesk } from '../tasks/task-desk.ts';
import { MAX_CLAIMED } from '../tasks/task-input.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../tasks/work-on-task.ts';
import type { ClaimTasks, FailedTask, LeasedTask, TaskCoordinator, TaskLease } from './task-coordinator.ts';

export interface PostgresTaskDeps extends TaskDeps, OpenTaskSecretsDeps {
  /** Connections of their own for heartbeats, so that a busy pool costs no lease. */
  readonly controlDb: Database;
  readonly desk: Pick<TaskDesk, 'claim'>;
}

interface TaskTaker {
  readonly workerId: string;
  readonly workerName: string;
  /** Tasks of no other projects; null means any. */
  readonly projectIds: readonly string[] | null;
  /** A claim holds so long, or for the task's own time if that is longer. */
  readonly leaseSeconds: number;
  /** It is told no more secrets than its task needs: not even to hide them. */
  readonly elsewhere: boolean;
}

export class PostgresTaskCoordinator implements TaskCoordinator {
  readonly #deps: PostgresTaskDeps;
  readonly #taker: TaskTaker;

  constructor(deps: PostgresTaskDeps, taker: TaskTaker) {
    this.#deps = deps;
    this.#taker = taker;
  }

  async claim({ labels, max, held }: ClaimTasks): Promise<readonly LeasedTask[]> {
    await this.#giveBackUnknown(held);
    if (!(await this.#anyWaits(labels))) return [];
    const { workerId, workerName, projectIds } = this.#taker;
    const wanted = { workerName, types: [...RUN_TASK_TYPES], labels: [...labels], max: Math.min(max, MAX_CLAIMED) };
    const claimed = await this.#deps.desk.claim({ claimant: 'worker', workerId, projectIds, ...wanted });
    await this.#sign(claimed);
    return claimed.map((task) => this.#toLeased(task));
  }

  async heartbeat(lease: TaskLease) {
    const control = { ...this.#deps, db: this.#deps.controlDb };
    // Of an evicted worker no lease is renewed.
    if (await this.#isEvicted(control.db)) return { letGo: true };
    const { cancelRequested } = await fenced(heartbeatTask(control, keyOf(lease), this.#taker.leaseSeconds));
    return { letGo: cancelRequested };
  }

  async complete(lease: TaskLease, result: unknown) {
    await fenced(completeTask(this.#deps, { ...keyOf(lease), result }));
  }

  async fail(lease: TaskLease, { reason, retryable, result }: FailedTask) {
    await fenced(failTask(this.#deps, { ...keyOf(lease), reason, retryable, result }));
  }

  async release(lease: TaskLease) {
    await fenced(releaseTask(this.#deps, keyOf(lease)));
  }

  async project(lease: TaskLease) {
    return findProject(this.#deps.db, (await this.#find(lease)).projectId);
  }

  async secrets(lease: TaskLease) {
    return openTaskSecrets(this.#deps, await this.#find(lease), { elsewhere: this.#taker.elsewhere });
  }

  onWork(wake: () => void) {
    const offs = [TASKS_TOPIC, QUEUE_TOPIC].map((topic) => this.#deps.hub.on(topic, wake));
    return () => {
      for (const off of offs) off();
    };
  }

  onTold({ id }: TaskLease, wake: () => void) {
    return this.#deps.hub.on(taskTopic(id), wake);
  }

  async #isEvicted(db: Database): Promise<boolean> {
    const worker = db.selectFrom('workers').select('evicted_at').where('id', '=', this.#taker.workerId);
    return ((await worker.executeTakeFirst())?.evicted_at ?? null) !== null;
  }

  /** Asked before, because a claim takes turns with those of all workers. */
  async #anyWaits(labels: readonly string[]): Promise<boolean> {
    const row = await this.#deps.db
      .selectFrom('tasks')
      .select('id')
      .where('status', '=', 'PENDING')
      .where('type', 'in', RUN_TASK_TYPES)
      .where('ready_at', '<=', sql<Date>`now()`)
      .where(sql<boolean>`needs <@ ${[...labels]}::text[]`)
      .limit(1)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** Says whose they are, and lets the claims hold for as long as heartbeats will. */
  async #sign(claimed: readonly ClaimedTask[]): Promise<void> {
    if (claimed.length === 0) return;
    const { workerId, leaseSeconds } = this.#taker;
    await sql`
      update tasks t
         set worker_id = ${workerId}, lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => ${leaseSeconds}))
        from unnest(${claimed.map(({ id }) => id)}::uuid[], ${claimed.map(({ leaseToken }) => leaseToken)}::uuid[]) c (id, token)
       where t.id = c.id and t.lease_token = c.token`.execute(this.#deps.db);
  }

  /** The answer of their claim was lost: nothing has begun. */
  async #giveBackUnknown(held: readonly TaskLease[]): Promise<void> {
    const { rows } = await sql<TaskLease>`
      select id, lease_token as "leaseToken" from tasks
       where worker_id = ${this.#taker.workerId} and lease_token <> all(${held.map(({ leaseToken }) => leaseToken)}::uuid[])
       limit ${MAX_CLAIMED}`.execute(this.#deps.db);
    for (const lease of rows) {
      await this.release(lease).catch((error: unknown) => {
        if (!(error instanceof SupersededError)) throw error;
      });
    }
  }

  #toLeased({ id, projectId, type, payload, attemptNo, leaseToken, leaseSeconds }: ClaimedTask): LeasedTask {
    const run = { id, projectId, type: type as RunTaskType, payload, attemptNo };
    return { ...run, leaseToken, leaseSeconds: Math.max(leaseSeconds, this.#taker.leaseSeconds) };
  }

  /** Throws SupersededError. */
  async #find({ id, leaseToken }: TaskLease): Promise<Pick<TaskToRun, 'projectId' | 'type' | 'payload'>> {
    const row = await this.#deps.db
      .selectFrom('tasks')
      .select(['project_id', 'type', 'payload'])
      .where('id', '=', id)
      .where('lease_token', '=', leaseToken)
      .where('lease_until', '>', sql<Date>`clock_timestamp()`)
      .where('worker_id', '=', this.#taker.workerId)
      .executeTakeFirst();
    if (!row) throw new SupersededError('the lease of this task has ended');
    return { projectId: row.project_id, type: row.type as RunTaskType, payload: row.payload };
  }
}

async function fenced<T>(word: Promise<T>): Promise<T> {
  return word.catch((error: unknown) => {
    const isLost = error instanceof LeaseLostError || error instanceof NotFoundError;
    throw isLost ? new SupersededError(error.message) : error;
  });
}

function keyOf({ id, leaseToken }: TaskLease) {
  return { id, leaseToken };
}
