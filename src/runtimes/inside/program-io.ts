/** stdin and stdout of a program that is run by an exec: the one has no end, and the other can break. */
import type { Readable } from 'node:stream';
import { type Fence, type InsideHeader, MAX_CALL_BYTES } from './call.ts';

// The command goes on without its reader: whoever asks again is given its answer.
process.stdout.on('error', () => {});

/** An exec that broke before its call was whole may never say that its stdin has ended. */
const CALL_MS = 5 * 60_000;

/** Rejects when stdin ends, is too much, or takes too long, before the call is whole. */
export async function readCall(
  stdin: Readable,
  withinMs = CALL_MS,
): Promise<{ readonly operation: string; readonly fence: Fence | null; readonly data: Buffer }> {
  const late = () => stdin.destroy(new Error(`The call was not whole within ${withinMs} ms.`));
  const timer = setTimeout(late, withinMs);
  try {
    return await readWhole(stdin);
  } finally {
    clearTimeout(timer);
  }
}

async function readWhole(stdin: Readable) {
  const chunks: Buffer[] = [];
  let length = 0;
  let header: InsideHeader | null = null;
  let begin = 0;
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (header === null && chunk.includes('\n')) {
      const text = Buffer.concat(chunks);
      begin = text.indexOf('\n') + 1;
      header = JSON.parse(text.toString('utf8', 0, begin)) as InsideHeader;
    }
    if (header !== null && length - begin >= header.bytes) {
      const data = Buffer.concat(chunks).subarray(begin, begin + header.bytes);
      return { operation: header.operation, fence: header.fence ?? null, data };
    }
    if (length > MAX_CALL_BYTES) throw new Error(`A call has at most ${MAX_CALL_BYTES} bytes.`);
  }
  throw new Error('The call broke off.');
}

/** Resolves when stdout has taken the bytes, or is broken. */
export async function writeAll(bytes: Uint8Array): Promise<void> {
  if (bytes.length > 0) await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()));
}
