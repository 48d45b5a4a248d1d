/** The prompt of a build: an argument, a file, or stdin. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { CliError } from './exit-code.ts';
import type { Io } from './io.ts';

/** What the API takes, in bytes. */
const MAX_PROMPT = 1024 * 1024;

/** Throws CliError when there is not exactly one source, or it cannot be read. */
export async function readPrompt(
  io: Pick<Io, 'stdin'>,
  source: { readonly prompt: string | undefined; readonly file: string | undefined },
): Promise<string> {
  const { prompt, file } = source;
  if ((prompt === undefined) === (file === undefined)) {
    throw new CliError('Give the prompt as an argument, or with --prompt-file, or - to read it from stdin.', {
      code: 'INVALID_INPUT',
    });
  }
  if (file !== undefined) return readAll(createReadStream(file), file);
  return prompt === '-' ? readAll(io.stdin, 'stdin') : (prompt ?? '');
}

async function readAll(stream: Readable, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(Buffer.from(chunk));
      size += chunks.at(-1)?.length ?? 0;
      if (size > MAX_PROMPT) break;
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`The prompt cannot be read from ${name}: ${reason}`, { code: 'INVALID_INPUT' });
  }
  if (size <= MAX_PROMPT) return Buffer.concat(chunks).toString('utf8');
  throw new CliError(`The prompt in ${name} is larger than ${MAX_PROMPT} bytes.`, { code: 'INVALID_INPUT' });
}
