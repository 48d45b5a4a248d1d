/** The prompt of a build: an argument, a file, or stdin. */
import { createReadStream } from 'node:fs';
import { CliError } from './exit-code.ts';
import type { Io } from './io.ts';
import { readAll } from './read-all.ts';

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
  const limit = { what: 'prompt', max: MAX_PROMPT };
  if (file !== undefined) return readAll(createReadStream(file), { ...limit, from: file });
  return prompt === '-' ? readAll(io.stdin, { ...limit, from: 'stdin' }) : (prompt ?? '');
}
