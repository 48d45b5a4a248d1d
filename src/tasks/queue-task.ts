/** Puts a task into the queue, and takes it out. */
import type { DatabaseTransaction } from '../database/database.ts';
import { QUEUE_TOPIC, TASKS_TOPIC, type Topic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import type { Task } from './task.ts';

type Queued = Pick<Task, 'id' | 'projectId' | 'type' | 'priority' | 'concurrencyKey' | 'needs'>;

function itemOf(task: Queued, runAfter: Date | null) {
  return {
    id: task.id,
    kind: `task:${task.type}`,
    projectId: task.projectId,
    priority: task.priority,
    key: task.concurrencyKey,
    needs: task.needs,
    gate: null,
    runAfter,
  };
}

/** What to announce after the commit. */
export async function addToQueue(
  trx: DatabaseTransaction,
  queue: Queue,
  task: Queued,
  runAfter: Date | null,
): Promise<Topic[]> {
  await queue.add(trx, itemOf(task, runAfter));
  return runAfter ? [] : [TASKS_TOPIC];
}

/** What to announce after the commit: others may start now. */
export async function removeFromQueue(trx: DatabaseTransaction, queue: Queue, id: string): Promise<Topic[]> {
  await queue.remove(trx, id);
  return [QUEUE_TOPIC];
}

/** Of a task that was claimed. */
export async function putBackIntoQueue(
  trx: DatabaseTransaction,
  queue: Queue,
  task: Queued,
  runAfter: Date | null,
): Promise<Topic[]> {
  await queue.putBack(trx, itemOf(task, runAfter));
  return [QUEUE_TOPIC, TASKS_TOPIC];
}
