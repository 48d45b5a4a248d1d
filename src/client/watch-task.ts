/** Follows a task to its end, through cut sockets and restarts of the server. */
import type { ResultOf } from '@graphql-typed-document-node/core';
import type { Client } from './client.ts';
import { ShowTaskDocument, WatchTaskDocument } from './generated.ts';
import { resume, type WatchOptions } from './resume.ts';

export type TaskProgressEvent = ResultOf<typeof WatchTaskDocument>['taskProgress'];

/**
 * The events of a task behind `after`, each exactly once and in order; ends with the task, or when `signal` aborts. Throws
 * ApiError when the API refuses (NOT_FOUND, FORBIDDEN …) and ConnectionError when it gives up.
 */
export function watchTask(
  client: Client,
  taskId: string,
  options: WatchOptions = {},
): AsyncIterableIterator<TaskProgressEvent> {
  return resume<TaskProgressEvent>({
    ...options,
    async *open(after, signal) {
      const variables = { taskId, after: String(after) };
      for await (const { taskProgress } of client.subscribe(WatchTaskDocument, variables, signal)) yield taskProgress;
    },
    // Those of a build task have the build's numbers, some of which are missing.
    take: (event, last) => (Number(event.cursor) > last ? { item: event, number: Number(event.cursor) } : null),
    // It may have been requeued: the stream itself knows its end.
    isLast: () => false,
    async isOver(last) {
      const { task } = await client.request(ShowTaskDocument, { id: taskId });
      const isFinished = task?.status !== 'PENDING' && task?.status !== 'RUNNING';
      return isFinished && last >= Number(task?.events.nodes[0]?.cursor ?? 0);
    },
  });
}
