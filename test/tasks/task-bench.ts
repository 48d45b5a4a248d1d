/** Tasks of a test: of a project and a type of its own, so that none claims another's. */
import { sql } from 'kysely';
import { v7 } from 'uuid';
import { InvalidInputError } from '../../src/errors.ts';
import { type EnqueueTask, enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { type ClaimedTask, findTask, type Task } from '../../src/tasks/task.ts';
import { readTaskEvents } from '../../src/tasks/task-events.ts';
import type { EnqueueTaskInput } from '../../src/tasks/task-input.ts';
import { setTaskType } from '../../src/tasks/task-type.ts';
import { completeTask, failTask, heartbeatTask, releaseTask } from '../../src/tasks/work-on-task.ts';
import type { TestStack } from '../support/orchestrator.ts';

export class TaskBench {
  readonly #stack: TestStack;
  /** Of the last type. */
  projectId = '';

  constructor(stack: TestStack) {
    this.#stack = stack;
  }

  async newType(schema: Record<string, unknown> = {}): Promise<string> {
    this.projectId = (await this.#stack.createProject()).id;
    const name = `t${v7().replaceAll('-', '')}`;
    await setTaskType(this.#stack.orchestrator, { projectId: this.projectId, name, schema }, 'test');
    return name;
  }

  enqueue(type: string, task: Partial<EnqueueTaskInput> = {}, rest: Partial<EnqueueTask> = {}) {
    const wanted = { projectId: this.projectId, task: { type, payload: { n: 1 }, ...task }, ...rest };
    return enqueueTask(this.#stack.orchestrator, wanted, 'token_a');
  }

  ask(type: string, rest: object = {}): Promise<readonly ClaimedTask[]> {
    const { desk } = this.#stack.orchestrator;
    return desk.claim({ claimant: 'bot', projectIds: null, workerName: 'w', types: [type], ...rest });
  }

  async claim(type: string, rest: object = {}): Promise<ClaimedTask> {
    const [task] = await this.ask(type, rest);
    if (!task) throw new Error('nothing was claimed');
    return task;
  }

  async read(id: string): Promise<Task> {
    const task = await findTask(this.#stack.orchestrator.db, id);
    if (!task) throw new Error('no such task');
    return task;
  }

  async eventsOf(id: string): Promise<string[]> {
    const { db } = this.#stack.orchestrator;
    const events = await readTaskEvents(db, { taskId: id, isBuild: false, after: 0, limit: 100 });
    return events.map(({ seq, type }) => `${seq} ${type}`);
  }

  async expire(id: string): Promise<void> {
    await sql`update tasks set lease_until = now() - interval '1 s' where id = ${id}`.execute(
      this.#stack.orchestrator.db,
    );
  }

  async dueNow(id: string): Promise<void> {
    await sql`update queue_items set ready_at = now() where id = ${id}`.execute(this.#stack.orchestrator.db);
  }

  async audited(id: string): Promise<string[]> {
    const { db } = this.#stack.orchestrator;
    const rows = await db.selectFrom('audit_log').select('action').where('subject_id', '=', id).orderBy('id').execute();
    return rows.map(({ action }) => action);
  }

  /** All that a worker can say. */
  words(task: { readonly id: string; readonly leaseToken: string }): (() => Promise<unknown>)[] {
    const { orchestrator } = this.#stack;
    return [
      () => heartbeatTask(orchestrator, { ...lease(task), progress: 'late' }),
      () => completeTask(orchestrator, lease(task)),
      () => failTask(orchestrator, { ...lease(task), reason: 'late' }),
      () => releaseTask(orchestrator, lease(task)),
    ];
  }
}

export function lease(task: { readonly id: string; readonly leaseToken: string } | undefined) {
  if (!task) throw new Error('nothing was claimed');
  return { id: task.id, leaseToken: task.leaseToken };
}

/** `input.type: is …` */
export async function issuesOf(work: Promise<unknown>): Promise<string[]> {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof InvalidInputError)) throw new Error(`not refused: ${String(error)}`);
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
}
