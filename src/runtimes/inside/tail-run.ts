import type { FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { openForReading, type RunFiles } from '../run-files.ts';
import type { TailFrame, TailRequest } from './call.ts';
import { writeAll } from './program-io.ts';
import { readRunState } from './run-state.ts';

const CHUNK_BYTES = 64 * 1024;
const MIN_PAUSE_MS = 20;
const MAX_PAUSE_MS = 200;
/** While somebody reads, the run is somebody's. */
const RENEW_EVERY_MS = 5_000;

/** Prints what the run prints, as frames; see TailFrame. */
export async function tailRun(files: RunFiles, request: TailRequest, renew: () => Promise<void>): Promise<void> {
  const until = performance.now() + request.maxMs;
  const streams = [await openSpool('stdout', files, request), await openSpool('stderr', files, request)];
  let [left, pauseMs, renewAt, isOver] = [request.maxBytes, MIN_PAUSE_MS, 0, false];
  while (left > 0 && performance.now() < until) {
    if (performance.now() >= renewAt) {
      renewAt = performance.now() + RENEW_EVERY_MS;
      await renew();
    }
    let given = 0;
    for (const stream of streams) given += await pass(stream);
    left -= given;
    if (given > 0) {
      pauseMs = MIN_PAUSE_MS;
      continue;
    }
    const state = await readRunState(files);
    if (isOver) return writeFrame({ ended: state });
    isOver = state.exit !== null || !state.hasRun;
    // What it wrote is in the files by now. A child that it left behind may go on writing, but not for us.
    if (isOver) for (const stream of streams) stream.limit = (await stream.file?.stat())?.size ?? 0;
    if (isOver) continue;
    await delay(pauseMs);
    pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
  }
  await writeFrame({ paused: true });
}

interface SpoolEnd {
  readonly name: 'stdout' | 'stderr';
  readonly file: FileHandle | null;
  at: number;
  limit: number;
}

async function openSpool(name: 'stdout' | 'stderr', files: RunFiles, { from }: TailRequest): Promise<SpoolEnd> {
  return { name, file: await openForReading(files[name]), at: from[name], limit: Number.POSITIVE_INFINITY };
}

/** Resolves with how many bytes there were. */
async function pass(stream: SpoolEnd): Promise<number> {
  const wanted = Math.min(CHUNK_BYTES, stream.limit - stream.at);
  if (stream.file === null || wanted <= 0) return 0;
  const chunk = Buffer.allocUnsafe(wanted);
  const { bytesRead } = await stream.file.read(chunk, 0, wanted, stream.at);
  if (bytesRead === 0) return 0;
  stream.at += bytesRead;
  const { size } = await stream.file.stat();
  await writeFrame({ stream: stream.name, bytes: bytesRead, size });
  await writeAll(chunk.subarray(0, bytesRead));
  return bytesRead;
}

function writeFrame(frame: TailFrame): Promise<void> {
  return writeAll(Buffer.from(`${JSON.stringify(frame)}\n`));
}
