/** The raw output of a build: lines in compressed chunks, numbered 1, 2, 3 … per build. */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { sql } from 'kysely';
import type { LogLine } from '../agents/agent.ts';
import type { Database } from '../database/database.ts';
import { Turns } from '../std/turns.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Characters of one stored line; the rest is replaced by a mark. */
const MAX_LOG_LINE = 65_536;
/** Characters that one attempt may store; later lines are counted, not kept. */
export const MAX_LOG_TEXT = 20 * 1024 * 1024;
/** A chunk is read whole, so it is bounded when it is read too. */
const MAX_CHUNK_BYTES = 64 * 1024 * 1024;

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

export interface NewLogChunk {
  readonly buildId: string;
  readonly attemptNo: number;
  readonly firstLine: number;
  readonly lines: readonly LogLine[];
}

/** Compressed here and not by Postgres: eight times the throughput. */
export async function encodeLines(lines: readonly LogLine[]): Promise<Buffer> {
  const cut = lines.map(({ stream, text }) => [stream, text.length > MAX_LOG_LINE ? cutLine(text) : text]);
  return compress(JSON.stringify(cut), { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}

function cutLine(text: string): string {
  return `${text.slice(0, MAX_LOG_LINE)} … [${text.length - MAX_LOG_LINE} characters cut]`;
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
const turnsOf = new WeakMap<Database, Turns>();

/** Chunks in order, the first one without the lines up to `after`. */
export function readLog(db: Database, page: LogPage): Promise<LogChunk[]> {
  const turns = turnsOf.get(db) ?? new Turns(MAX_READS);
  turnsOf.set(db, turns);
  return turns.take(() => readChunks(db, page));
}

async function readChunks(db: Database, page: LogPage): Promise<LogChunk[]> {
  // Only the last chunk that begins at or before `after` can hold a line after it.
  const before = await db
    .selectFrom('build_logs')
    .select('first_line')
    .where('build_id', '=', page.buildId)
    .where('first_line', '<=', page.after)
    .orderBy('first_line', 'desc')
    .limit(1)
    .executeTakeFirst();
  const rows = await db
    .selectFrom('build_logs')
    .selectAll()
    .where('build_id', '=', page.buildId)
    .where('first_line', '>=', before?.first_line ?? 1)
    .where(sql<boolean>`first_line + line_count > ${page.after}::bigint + 1`)
    .orderBy('first_line')
    .limit(page.limit)
    .execute();
  const chunks = await Promise.all(rows.map(decodeChunk));
  return chunks.map((chunk) => withoutLinesUpTo(chunk, page.after));
}

async function decodeChunk(row: {
  build_id: string;
  first_line: number;
  line_count: number;
  at: Date;
  content: Buffer;
}): Promise<LogChunk> {
  const json = (await decompress(row.content, { maxOutputLength: MAX_CHUNK_BYTES })).toString('utf8');
  const lines = JSON.parse(json) as [LogLine['stream'], string][];
  return {
    buildId: row.build_id,
    firstLine: row.first_line,
    lineCount: row.line_count,
    at: row.at,
    lines: lines.map(([stream, text], index) => ({ number: row.first_line + index, at: row.at, stream, text })),
  };
}

function withoutLinesUpTo(chunk: LogChunk, after: number): LogChunk {
  if (chunk.firstLine > after) return chunk;
  const lines = chunk.lines.filter((line) => line.number > after);
  return { ...chunk, firstLine: after + 1, lineCount: lines.length, lines };
}
