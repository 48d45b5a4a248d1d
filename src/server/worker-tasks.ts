/** What a remote worker does with tasks: each request becomes the same word in Postgres, under the same fence. */
import { seesProject } from '../auth/viewer.ts';
import { InvalidInputError, SupersededError } from '../errors.ts';
import type { Orchestrator } from '../orchestrator.ts';
import { PostgresTaskCoordinator } from '../workers/postgres-task-coordinator.ts';
import type { TaskLease } from '../workers/task-coordinator.ts';
import type { Handlers, WorkerCall } from './worker-call.ts';
import { findClaimer } from './worker-claimer.ts';
import { WorkerProblem } from './worker-problem.ts';

type TaskRequest = Extract<keyof Handlers, 'claim-tasks' | `task-${string}`>;

export function taskRequests(orchestrator: Orchestrator): Pick<Handlers, TaskRequest> {
  const { db, config } = orchestrator;
  const open = (workerId: string, claimer = { workerName: '', projectIds: [] as readonly string[] }) =>
    new PostgresTaskCoordinator(orchestrator, {
      ...{ workerId, workerName: claimer.workerName, projectIds: claimer.projectIds },
      ...{ leaseSeconds: config.remoteLeaseSeconds, elsewhere: true },
    });
  /** Throws SupersededError for a task that the token does not see, and WorkerProblem for what no task can have. */
  async function say<T>(
    { viewer, workerId }: WorkerCall,
    { id }: TaskLease,
    word: (tasks: PostgresTaskCoordinator) => Promise<T>,
  ): Promise<T> {
    const row = await db.selectFrom('tasks').select('project_id').where('id', '=', id).executeTakeFirst();
    if (!row || !seesProject(viewer, row.project_id)) throw new SupersededError('there is no such task of this worker');
    return word(open(workerId)).catch((error: unknown) => {
      throw error instanceof InvalidInputError ? new WorkerProblem(400, error.message) : error;
    });
  }
  async function done(work: Promise<void>): Promise<null> {
    await work;
    return null;
  }
  return {
    async 'claim-tasks'(call, { labels, max, held }) {
      const claimer = await findClaimer(db, call, labels);
      if (!claimer) return [];
      return open(call.workerId, claimer).claim({ labels: claimer.labels, max, held });
    },
    'task-heartbeat': (call, { lease }) => say(call, lease, (tasks) => tasks.heartbeat(lease)),
    'task-complete': (call, { lease, result }) => done(say(call, lease, (tasks) => tasks.complete(lease, result))),
    'task-fail': (call, { lease, reason, retryable, result }) =>
      done(say(call, lease, (tasks) => tasks.fail(lease, { reason, retryable, result }))),
    'task-release': (call, { lease }) => done(say(call, lease, (tasks) => tasks.release(lease))),
    'task-project': (call, { lease }) => say(call, lease, (tasks) => tasks.project(lease)),
    'task-secrets': (call, { lease }) => say(call, lease, (tasks) => tasks.secrets(lease)),
  };
}
