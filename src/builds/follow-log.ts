/** A build's log from a line on, and then live: batches of lines, until the build is finished and all were given. */
import type { Database } from '../database/database.ts';
import type { EventHub } from '../events/event-hub.ts';
import { follow } from '../events/follow.ts';
import { logTopic } from '../events/topics.ts';
import type { FeedIterator } from '../std/feed.ts';
import { isFinished } from './build.ts';
import { type NumberedLine, readLog } from './build-log.ts';

/** Lines of one batch. */
export const MAX_BATCH_LINES = 200;
/** Chunks of one read. */
const CHUNKS = 1;
/** Characters of one batch, when it has more than one line. */
const MAX_BATCH_LENGTH = 32 * 1024;
/** Characters that one follower holds at a time: whoever does not read what he asked for costs no more. */
const MAX_HELD_LENGTH = 64 * 1024;

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
): FeedIterator<LogBatch> {
  const topic = logTopic(buildId);
  return follow<LogBatch>({
    hub,
    topic,
    share: topic,
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
  let held = 0;
  for (let start = 0; start < lines.length && held < MAX_HELD_LENGTH; ) {
    const part = takeBatch(lines, start);
    batches.push({ cursor: part.at(-1)?.number ?? after, lines: part, finished: false });
    held += part.reduce((length, { text }) => length + text.length, 0);
    start += part.length;
  }
  const last = batches.at(-1) ?? { cursor: after, lines: [] };
  // Without a chunk there is nothing left, whatever the count says: logs are kept for a limited time.
  if (!isFinished(status) || (chunks.length > 0 && last.cursor < end)) return batches;
  return [...batches.slice(0, -1), { ...last, finished: true }];
}

/** One line at least. */
function takeBatch(lines: readonly NumberedLine[], start: number): NumberedLine[] {
  let length = 0;
  const part: NumberedLine[] = [];
  for (const line of lines.slice(start, start + MAX_BATCH_LINES)) {
    length += line.text.length;
    if (part.length > 0 && length > MAX_BATCH_LENGTH) break;
    part.push(line);
  }
  return part;
}
