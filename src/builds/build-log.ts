/** The raw output of a build: lines in compressed chunks, numbered 1, 2, 3 … per build. */
import { sql } from 'kysely';
import type { LogLine } from '../agents/agent.ts';
import type { Database } from '../database/database.ts';
import { Turns } from '../std/turns.ts';
import { decodeLines } from './log-chunk.ts';

/** Characters that one attempt may store; later lines are counted, not kept. */
export const MAX_LOG_TEXT = 20 * 1024 * 1024;

export interface NumberedLine extends LogLine {
  readonly number: number;
  readonly at: Date;
}

export interface LogChunk {
  readonly buildId: string;
  readonly firstLine: number;
  readonly lineCount: number;
  readonly at: Date;
  readonly lines: readonly NumberedLine[];
}

export interface LogPage {
  readonly buildId: string;
  /** Only lines with a greater number. */
  readonly after: number;
  /** Chunks, at most. */
  readonly limit: number;
}

/** Reads of one database at the same time: each of them holds chunks in several shapes for a moment. */
const MAX_READS = 4;
/** Characters of chunks that are kept for the next read, and of each of them at least. */
const MAX_KEPT_LENGTH = 8 * 1024 * 1024;
const MIN_KEPT_LENGTH = 64 * 1024;
const readersOf = new WeakMap<Database, { readonly turns: Turns; readonly kept: ReadChunks }>();

/** Chunks in order, the first one without the lines up to `after`. */
export function readLog(db: Database, page: LogPage): Promise<LogChunk[]> {
  const { turns, kept } = readersOf.get(db) ?? { turns: new Turns(MAX_READS), kept: new ReadChunks() };
  readersOf.set(db, { turns, kept });
  return turns.take(() => readChunks(db, page, kept));
}

async function readChunks(db: Database, page: LogPage, kept: ReadChunks): Promise<LogChunk[]> {
  // Only the last chunk that begins at or before `after` can hold a line after it.
  const before = await db
    .selectFrom('build_logs')
    .select('first_line')
    .where('build_id', '=', page.buildId)
    .where('first_line', '<=', page.after)
    .orderBy('first_line', 'desc')
    .limit(1)
    .executeTakeFirst();
  const known = kept.of(page.buildId);
  const rows = await db
    .selectFrom('build_logs')
    .select(['build_id', 'first_line', 'line_count', 'at'])
    .select(
      sql<Buffer | null>`case when first_line <> all(${[...known.keys()]}::bigint[]) then content end`.as('content'),
    )
    .where('build_id', '=', page.buildId)
    .where('first_line', '>=', before?.first_line ?? 1)
    .where(sql<boolean>`first_line + line_count > ${page.after}::bigint + 1`)
    .orderBy('first_line')
    .limit(page.limit)
    .execute();
  const chunks = await Promise.all(rows.map((row) => known.get(row.first_line) ?? decodeChunk(row)));
  for (const chunk of chunks) kept.keep(chunk);
  return chunks.map((chunk) => withoutLinesUpTo(chunk, page.after));
}

interface ChunkRow {
  readonly build_id: string;
  readonly first_line: number;
  readonly line_count: number;
  readonly at: Date;
  /** Null: it is known. */
  readonly content: Buffer | null;
}

/** Large chunks that were read lately: a follower takes one in many small parts. They never change. */
class ReadChunks {
  readonly #kept = new Map<string, { readonly chunk: LogChunk; readonly length: number }>();
  #length = 0;

  /** By their first lines. */
  of(buildId: string): ReadonlyMap<number, LogChunk> {
    const own = [...this.#kept.values()].filter(({ chunk }) => chunk.buildId === buildId);
    return new Map(own.map(({ chunk }) => [chunk.firstLine, chunk]));
  }

  /** The one that was kept first goes when there are too many. */
  keep(chunk: LogChunk): void {
    const key = `${chunk.buildId}:${chunk.firstLine}`;
    const length = chunk.lines.reduce((sum, { text }) => sum + text.length, 0);
    if (length < MIN_KEPT_LENGTH || this.#kept.has(key)) return;
    this.#kept.set(key, { chunk, length });
    this.#length += length;
    for (const [oldest, { length: less }] of this.#kept) {
      if (this.#length <= MAX_KEPT_LENGTH) break;
      this.#kept.delete(oldest);
      this.#length -= less;
    }
  }
}

async function decodeChunk(row: ChunkRow): Promise<LogChunk> {
  const lines = await decodeLines(row.content ?? Buffer.alloc(0));
  return {
    buildId: row.build_id,
    firstLine: row.first_line,
    lineCount: row.line_count,
    at: row.at,
    lines: lines.map(({ stream, text }, index) => ({ number: row.first_line + index, at: row.at, stream, text })),
  };
}

function withoutLinesUpTo(chunk: LogChunk, after: number): LogChunk {
  if (chunk.firstLine > after) return chunk;
  const lines = chunk.lines.filter((line) => line.number > after);
  return { ...chunk, firstLine: after + 1, lineCount: lines.length, lines };
}
