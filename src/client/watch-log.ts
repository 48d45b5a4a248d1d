/** Follows the raw output of a build to its end, through cut sockets and restarts of the server. */
import type { ResultOf } from '@graphql-typed-document-node/core';
import type { Client } from './client.ts';
import { WatchLogDocument } from './generated.ts';
import { resume, type WatchOptions } from './resume.ts';

type LogBatch = ResultOf<typeof WatchLogDocument>['buildLog'];
export type LogLine = LogBatch['lines'][number];

/**
 * The lines of a build's log behind `after`, in batches, each line exactly once and in order; ends when the build is
 * finished and all of its lines were given, or when `signal` aborts. Throws as `watchBuild` does.
 */
export async function* watchLog(
  client: Client,
  buildId: string,
  options: WatchOptions = {},
): AsyncGenerator<readonly LogLine[], void, undefined> {
  const batches = resume<LogBatch>({
    ...options,
    async *open(after, signal) {
      const variables = { buildId, after: String(after) };
      for await (const { buildLog } of client.subscribe(WatchLogDocument, variables, signal)) yield buildLog;
    },
    take(batch, last) {
      const lines = batch.lines.filter((line) => line.number > last);
      const [first] = lines;
      if (!first) return batch.finished ? { item: batch, number: last } : null;
      return first.number === last + 1 ? { item: { ...batch, lines }, number: Number(batch.cursor) } : 'gap';
    },
    isLast: (batch) => batch.finished,
    isOver: async () => false,
  });
  for await (const { lines } of batches) if (lines.length > 0) yield lines;
}
