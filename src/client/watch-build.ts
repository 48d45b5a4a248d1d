/** Follows a build to its end, through cut sockets and restarts of the server. */
import type { ResultOf } from '@graphql-typed-document-node/core';
import type { Client } from './client.ts';
import { BuildEndDocument, WatchBuildDocument } from './generated.ts';
import { resume, type WatchOptions } from './resume.ts';

export type BuildProgressEvent = ResultOf<typeof WatchBuildDocument>['buildProgress'];

/**
 * The events of a build behind `after`, each exactly once and in order; ends after FINISHED, or when `signal` aborts.
 * Throws ApiError when the API refuses (NOT_FOUND, FORBIDDEN …) and ConnectionError when it gives up.
 */
export function watchBuild(
  client: Client,
  buildId: string,
  options: WatchOptions = {},
): AsyncIterableIterator<BuildProgressEvent> {
  return resume<BuildProgressEvent>({
    ...options,
    async *open(after, signal) {
      const variables = { buildId, after: String(after) };
      for await (const { buildProgress } of client.subscribe(WatchBuildDocument, variables, signal)) {
        yield buildProgress;
      }
    },
    take(event, last) {
      const number = Number(event.cursor);
      if (number <= last) return null;
      return number === last + 1 ? { item: event, number } : 'gap';
    },
    isLast: (event) => event.type === 'FINISHED',
    // Of a build that was over before `after` there is nothing to give, not even its last event.
    async isOver(last) {
      const { build } = await client.request(BuildEndDocument, { id: buildId });
      const isFinished = build?.status !== 'PENDING' && build?.status !== 'RUNNING';
      return isFinished && last >= Number(build?.lastEventCursor ?? 0);
    },
  });
}
