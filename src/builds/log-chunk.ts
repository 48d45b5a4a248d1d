/**
 * Lines of a log as they are stored: one zstd frame, of the texts one after the other behind a number per line, which says how
 * long its text is and on which stream it was. A program that floods is paid for by the byte here: nothing is made per line.
 */
import { promisify } from 'node:util';
import { constants, createZstdCompress, zstdCompressSync, zstdDecompress } from 'node:zlib';
import type { LogLine } from '../agents/agent.ts';
import { Turns } from '../std/turns.ts';

const decompress = promisify(zstdDecompress);

/** Characters of one stored line; the rest is replaced by a mark. */
const MAX_LOG_LINE = 65_536;
/** A chunk is read whole, so it is bounded when it is read too. */
const MAX_CHUNK_BYTES = 64 * 1024 * 1024;
/** Less is compressed at once: another thread would cost more than that. */
const SMALL_BYTES = 32 * 1024;
/** zstd writes what it makes of large chunks to memory that it takes in parts of this size: each is free again soon. */
const PART_BYTES = 64 * 1024;
/** A window of 128 KiB: what lies further back costs more to look at than it saves, also whoever reads. */
const params = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: 17 };
/** A frame for each write. */
const streamOptions = { params, chunkSize: PART_BYTES, flush: constants.ZSTD_e_end };

/** As many as Node has threads for it. */
const MAX_AT_A_TIME = 4;
/** Of what is kept to pack lines in. */
const MAX_ROOM_BYTES = 4 * 1024 * 1024;

/** The first byte of a chunk. Those of earlier versions were JSON, `[[stream, text], …]`. */
const PACKED = 1;
const JSON_ARRAY = '['.charCodeAt(0);
/** By their numbers in stored chunks. */
const STREAMS = ['stdout', 'stderr', 'system'] as const;
/** Streams have two bits. */
const STREAM_COUNT = 4;
/** Of a character of UTF-16. */
const MAX_UTF8_BYTES = 3;
const MAX_NUMBER_BYTES = 5;
/**
 * Characters of lines that are encoded at once. That costs what it costs line by line; but the texts that it makes have V8
 * collect what is young, also the parts above. Where it finds nothing to do it lets those pile up, and marks the whole heap
 * for every 64 MiB of them.
 */
const JOINED_LENGTH = 32 * 1024;

/**
 * Compresses logs here and not in Postgres: eight times the throughput. What that takes is kept for the next chunk: memory
 * that comes and goes by the megabyte would have the garbage collector mark the whole heap again and again.
 */
export class ChunkEncoder {
  readonly #turns = new Turns(MAX_AT_A_TIME);
  readonly #idle: Compressor[] = [];

  /** One after the other, they are the chunk: whoever stores it copies them once. */
  encode(lines: readonly LogLine[]): Promise<readonly Buffer[]> {
    return this.#turns.take(async () => {
      const compressor = this.#idle.pop() ?? new Compressor();
      const chunk = await compressor.encode(lines);
      // Not of one that has failed.
      this.#idle.push(compressor);
      return chunk;
    });
  }
}

/** One chunk at a time. */
class Compressor {
  #room: Buffer = Buffer.allocUnsafeSlow(SMALL_BYTES);
  readonly #stream = createZstdCompress(streamOptions);
  #parts: Buffer[] = [];

  constructor() {
    this.#stream.on('data', (part: Buffer) => this.#parts.push(part));
  }

  async encode(lines: readonly LogLine[]): Promise<readonly Buffer[]> {
    const { buffer, end } = packLines(lines, this.#room);
    if (buffer.length <= MAX_ROOM_BYTES) this.#room = buffer;
    const packed = buffer.subarray(0, end);
    return end <= SMALL_BYTES ? [zstdCompressSync(packed, { params })] : this.#compress(packed);
  }

  async #compress(bytes: Buffer): Promise<readonly Buffer[]> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#stream.once('error', reject);
    this.#stream.write(bytes, () => resolve());
    await promise;
    this.#stream.off('error', reject);
    return this.#parts.splice(0);
  }
}

export async function decodeLines(content: Buffer): Promise<LogLine[]> {
  const packed = await decompress(content, { maxOutputLength: MAX_CHUNK_BYTES });
  if (packed[0] === PACKED) return unpackLines(packed);
  if (packed[0] !== JSON_ARRAY) throw new Error('a chunk of a log is of no known form');
  const pairs = JSON.parse(packed.toString('utf8')) as [LogLine['stream'], string][];
  return pairs.map(([stream, text]) => ({ stream, text }));
}

/** In `room`, or in a larger one. */
function packLines(lines: readonly LogLine[], room: Buffer): { readonly buffer: Buffer; readonly end: number } {
  const whole = lines.some(({ text }) => text.length > MAX_LOG_LINE) ? lines.map(cutLine) : lines;
  let length = 0;
  let longest = 0;
  for (const { text } of whole) {
    length += text.length;
    if (text.length > longest) longest = text.length;
  }
  const headBytes = 1 + (1 + whole.length) * MAX_NUMBER_BYTES;
  const joined = Math.min(length, JOINED_LENGTH + longest);
  // Enough for ASCII, of which what is encoded last finds the room that it would need for other characters.
  let buffer = withRoom(room, headBytes + length + MAX_UTF8_BYTES * joined);
  buffer[0] = PACKED;
  let end = packNumber(buffer, whole.length, 1);
  for (const { stream, text } of whole) {
    end = packNumber(buffer, text.length * STREAM_COUNT + STREAMS.indexOf(stream), end);
  }
  for (const text of joinTexts(whole)) {
    if (end + MAX_UTF8_BYTES * text.length > buffer.length) {
      const larger = withRoom(buffer, headBytes + MAX_UTF8_BYTES * length);
      buffer.copy(larger, 0, 0, end);
      buffer = larger;
    }
    end += buffer.write(text, end);
  }
  return { buffer, end };
}

function* joinTexts(lines: readonly LogLine[]): Generator<string> {
  let joined = '';
  for (const { text } of lines) {
    joined += text;
    if (joined.length < JOINED_LENGTH) continue;
    yield joined;
    joined = '';
  }
  yield joined;
}

function withRoom(buffer: Buffer, bytes: number): Buffer {
  return buffer.length >= bytes ? buffer : Buffer.allocUnsafeSlow(bytes);
}

function cutLine({ stream, text }: LogLine): LogLine {
  if (text.length <= MAX_LOG_LINE) return { stream, text };
  const kept = text.slice(0, MAX_LOG_LINE).toWellFormed();
  return { stream, text: `${kept} … [${text.length - MAX_LOG_LINE} characters cut]` };
}

function unpackLines(packed: Buffer): LogLine[] {
  let at = 1;
  const nextNumber = () => {
    let number = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = packed[at] ?? 0;
      at += 1;
      number += (byte & 127) * shift;
      if (byte < 128) return number;
    }
  };
  const numbers = Array.from({ length: nextNumber() }, nextNumber);
  const text = packed.toString('utf8', at);
  let start = 0;
  return numbers.map((number) => {
    const end = start + Math.floor(number / STREAM_COUNT);
    const line = { stream: STREAMS[number % STREAM_COUNT] ?? 'system', text: text.slice(start, end) };
    start = end;
    return line;
  });
}

/** Seven bits a byte, the lowest first; all but the last byte have the eighth. Gives where the next number begins. */
function packNumber(bytes: Buffer, number: number, at: number): number {
  let rest = number;
  let next = at;
  while (rest > 127) {
    bytes[next] = (rest & 127) | 128;
    rest >>>= 7;
    next += 1;
  }
  bytes[next] = rest;
  return next + 1;
}
