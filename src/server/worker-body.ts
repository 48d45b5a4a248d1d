/** Bodies of remote workers: bounded while they are read, and unpacked. */
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { z } from 'zod';
import { MAX_BODY_BYTES, MAX_UNPACKED_BYTES, PIECE_BYTES } from '../remote/protocol.ts';
import { Turns } from '../std/turns.ts';
import { collectBody } from './collect-body.ts';
import { WorkerProblem } from './worker-problem.ts';

const unpack = promisify(gunzip);
/** Bodies that are unpacked at the same time: each may be many times what was sent. */
const MAX_UNPACKED = 4;
const turns = new Turns(MAX_UNPACKED);

export async function readJson<S extends z.ZodType>(incoming: IncomingMessage, schema: S): Promise<z.output<S>> {
  const body = await readBytes(incoming, MAX_BODY_BYTES);
  const isPacked = incoming.headers['content-encoding'] === 'gzip';
  const result = isPacked
    ? await turns.take(async () =>
        check(await unpack(body, { maxOutputLength: MAX_UNPACKED_BYTES }).catch(refuse), schema),
      )
    : check(body, schema);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 10).map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new WorkerProblem(400, `The body is not valid. ${issues.join('; ')}`);
}

function check<S extends z.ZodType>(body: Buffer, schema: S) {
  let found: unknown;
  try {
    found = JSON.parse(body.toString('utf8'));
  } catch {
    refuse();
  }
  return schema.safeParse(found);
}

function refuse(): never {
  throw new WorkerProblem(400, 'The body is not JSON, or is too large.');
}

export function readPiece(incoming: IncomingMessage): Promise<Buffer> {
  return readBytes(incoming, PIECE_BYTES);
}

async function readBytes(incoming: IncomingMessage, limit: number): Promise<Buffer> {
  const collected = await collectBody(incoming, limit);
  if (collected.ok) return collected.body;
  if (collected.why === 'GONE') throw new WorkerProblem(400, 'The body has not come.');
  throw new WorkerProblem(413, `A body has at most ${limit} bytes.`);
}
