/** A secret from stdin, a file or a variable: never an argument, which every user of the machine can read. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { readVariable } from '../config/config.ts';
import { CliError } from './exit-code.ts';
import type { Io } from './io.ts';

/** More than any secret that is taken. */
const MAX_BYTES = 64 * 1024;

export interface SecretSource {
  readonly valueFile?: string;
  readonly valueEnv?: string;
}

/** Without the line end that editors and `echo` leave. Throws CliError. */
export async function readSecret(io: Io, { valueFile, valueEnv }: SecretSource): Promise<string> {
  if (valueFile !== undefined && valueEnv !== undefined) refuse('Give one of --value-file and --value-env.');
  if (valueEnv !== undefined) return readVariable(valueEnv, io.environment) ?? refuse(`${valueEnv} is not set.`);
  if (valueFile !== undefined) return readAll(createReadStream(valueFile), valueFile);
  if ((io.stdin as { isTTY?: boolean }).isTTY) {
    refuse('Pipe the secret in, or name --value-file or --value-env: what is typed here would be seen.');
  }
  return readAll(io.stdin, 'stdin');
}

async function readAll(stream: Readable, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      chunks.push(Buffer.from(chunk));
      size += chunks.at(-1)?.length ?? 0;
      if (size > MAX_BYTES) break;
    }
  } catch (error) {
    refuse(`The secret cannot be read from ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (size > MAX_BYTES) refuse(`What is in ${name} is larger than a secret may be.`);
  const text = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  return text === '' ? refuse(`There is no secret in ${name}.`) : text;
}

function refuse(message: string): never {
  throw new CliError(message, { code: 'INVALID_INPUT' });
}
