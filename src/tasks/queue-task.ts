/** Puts a task into the queue, and takes it out. Each returns what to announce after the commit. */
import type { DatabaseTransaction } from '../database/database.ts';
import { QUEUE_TOPIC, TASKS_TOPIC, type Topic } from '../events/topics.ts';
import type { Queue } from '../queue/queue.ts';
import type { Task } from './task.ts';

type Queued = Pick<Task, 'id' | 'projectId' | 'type' | 'priority' | 'concurrencyKey' | 'needs'>;

export async function addToQueue(
  trx: DatabaseTransaction,
  queue: Queue,
  task: Queued,
  runAfter: Date | null,
): Promise<Topic[]> {
  const { id, projectId, priority, needs, concurrencyKey: key } = task;
  await queue.add(trx, { id, kind: `task:${task.type}`, projectId, priority, key, needs, runAfter });
  return runAfter ? [] : [TASKS_TOPIC];
}

/** One that a limit holds back may be able to start now. */
export async function removeFromQueue(trx: DatabaseTransaction, queue: Queue, id: string): Promise<Topic[]> {
  return (await queue.remove(trx, id)) ? [QUEUE_TOPIC] : [];
}

/** Of a task that was claimed: it waits again. */
export async function putBackIntoQueue(
  trx: DatabaseTransaction,
  queue: Queue,
  task: Queued,
  runAfter: Date | null,
): Promise<Topic[]> {
  // It is not there after a part of a backup was restored.
  if (!(await queue.putBack(trx, task.id, runAfter))) await addToQueue(trx, queue, task, runAfter);
  return [QUEUE_TOPIC, TASKS_TOPIC];
}
