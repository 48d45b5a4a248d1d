/** A build's log from a line on, and then live: batches of lines, until the build is finished and all were given. */
import type { Database } from '../database/database.ts';
import type { EventHub } from '../events/event-hub.ts';
import { follow } from '../events/follow.ts';
import { logTopic } from '../events/topics.ts';
import { isFinished } from './build.ts';
import { type NumberedLine, readLog } from './build-log.ts';

/** Lines of one batch. */
export const MAX_BATCH_LINES = 200;
/** Chunks that one follower holds at a time. */
const CHUNKS = 1;

export interface LogBatch {
  /** The number of the last line up to here. */
  readonly cursor: number;
  readonly lines: readonly NumberedLine[];
  /** The build is finished and this is the last batch; it may be empty. */
  readonly finished: boolean;
}

export interface FollowLogOptions {
  readonly buildId: string;
  /** Only lines with a greater number. */
  readonly after: number;
}

export function followLog(
  { db, hub }: { readonly db: Database; readonly hub: EventHub },
  { buildId, after }: FollowLogOptions,
): AsyncIterableIterator<LogBatch> {
  return follow<LogBatch>({
    hub,
    topic: logTopic(buildId),
    load: (cursor) => readBatches(db, buildId, cursor),
    cursorOf: (batch) => batch.cursor,
    isLast: (batch) => batch.finished,
    after,
  });
}

async function readBatches(db: Database, buildId: string, after: number): Promise<LogBatch[]> {
  // Before the lines: what a build printed is committed when it is finished, so nothing can come after them.
  const { status, last_line: end } = await db
    .selectFrom('build_audit')
    .select(['status', 'last_line'])
    .where('id', '=', buildId)
    .executeTakeFirstOrThrow();
  const chunks = await readLog(db, { buildId, after, limit: CHUNKS });
  const lines = chunks.flatMap((chunk) => chunk.lines);
  const batches: LogBatch[] = [];
  for (let start = 0; start < lines.length; start += MAX_BATCH_LINES) {
    const part = lines.slice(start, start + MAX_BATCH_LINES);
    batches.push({ cursor: part.at(-1)?.number ?? after, lines: part, finished: false });
  }
  const last = batches.at(-1) ?? { cursor: after, lines: [] };
  // Without a chunk there is nothing left, whatever the count says: logs are kept for a limited time.
  if (!isFinished(status) || (chunks.length > 0 && last.cursor < end)) return batches;
  return [...batches.slice(0, -1), { ...last, finished: true }];
}
