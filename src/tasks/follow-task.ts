/** Following a task: what was stored after a cursor, then live, to its end. */
import type { Database } from '../database/database.ts';
import type { EventHub } from '../events/event-hub.ts';
import { follow } from '../events/follow.ts';
import { eventsTopic, taskTopic } from '../events/topics.ts';
import type { FeedIterator } from '../std/feed.ts';
import { findTask, isTaskFinished, type Task } from './task.ts';
import { readTaskEvents, type TaskEvent } from './task-events.ts';

const PAGE = 200;

/**
 * Each event after `after` once and in order; ends after the end of the task, also where a requeued task has ended before:
 * only the last one is the end. Whoever has the last event of a finished task is told so at once, and so is whoever asks
 * for events that are kept no longer.
 */
export async function followTask(
  { db, hub }: { readonly db: Database; readonly hub: EventHub },
  { task, after }: { readonly task: Task; readonly after: number },
): Promise<FeedIterator<TaskEvent>> {
  let last: number | null = isTaskFinished(task.status) ? task.lastSeq : null;
  const { id, isBuild } = task;
  const events = follow<TaskEvent>({
    hub,
    topic: isBuild ? eventsTopic(id) : taskTopic(id),
    async load(seq) {
      const rows = await readTaskEvents(db, { taskId: id, isBuild, after: seq, limit: PAGE });
      if (rows.some(({ type }) => type === 'FINISHED')) {
        const now = await findTask(db, id);
        last = now && isTaskFinished(now.status) ? now.lastSeq : null;
      }
      return rows;
    },
    cursorOf: ({ seq }) => seq,
    isLast: ({ type, seq }) => type === 'FINISHED' && (isBuild || (last !== null && seq >= last)),
    after,
  });
  if (last !== null && !(await isLastKept(db, task, after))) events.close();
  return events;
}

/** Is there a last event behind the cursor? */
async function isLastKept(db: Database, { id, isBuild, lastSeq }: Task, cursor: number): Promise<boolean> {
  if (cursor >= lastSeq) return false;
  return (await readTaskEvents(db, { taskId: id, isBuild, after: lastSeq - 1, limit: 1 })).length > 0;
}
