/** Text that a command is given by a stream: stdin, or a file. */
import type { Readable } from 'node:stream';
import { CliError } from './exit-code.ts';

interface Source {
  /** What it is, and where it comes from, for people: `prompt`, `stdin`. */
  readonly what: string;
  readonly from: string;
  /** Bytes. */
  readonly max: number;
}

/** Throws CliError when it cannot be read or is larger than `max`. */
export async function readAll(stream: Readable, { what, from, max }: Source): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(Buffer.from(chunk));
      size += chunks.at(-1)?.length ?? 0;
      if (size > max) break;
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`The ${what} cannot be read from ${from}: ${reason}`, { code: 'INVALID_INPUT' });
  }
  if (size <= max) return Buffer.concat(chunks).toString('utf8');
  throw new CliError(`The ${what} in ${from} is larger than ${max} bytes.`, { code: 'INVALID_INPUT' });
}
