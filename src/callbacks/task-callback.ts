/** What a callback says of a task that has ended, in snake_case. Its row does not change after the end, unless it is requeued. */

import { toPublicId } from '../std/public-id.ts';
import type { Task } from '../tasks/task.ts';

/** A result is at most 64 KiB, so the body needs no cutting. */
export function taskCallbackBody(task: Task, result: unknown): string {
  return JSON.stringify({
    task_id: toPublicId('task', task.id),
    project_id: toPublicId('project', task.projectId),
    type: task.type,
    status: task.status,
    attempt: task.attemptNo,
    labels: task.labels,
    result: {
      success: task.status === 'COMPLETED',
      output: result,
      error: task.status === 'FAILED' ? task.failure : null,
    },
    finished_at: task.finishedAt,
  });
}
