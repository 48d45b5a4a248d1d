import { setTimeout as delay } from 'node:timers/promises';
import type { Redact } from './redact.ts';
import type { RunFiles } from './run-files.ts';
import type { OutputBatch, OutputLine, SpoolOffset } from './runtime.ts';
import { SpoolFile } from './spool-file.ts';

/** Of a program that prints faster than its output is written: each batch costs a transaction. */
export const MAX_BATCH_LINES = 10_000;
/** UTF-16 units of text; one line may be longer and is then a batch of its own. */
const MAX_BATCH_LENGTH = 1024 * 1024;
const MIN_PAUSE_MS = 10;
const MAX_PAUSE_MS = 100;

/** The output of a run, in batches; see `Run.read`. `hasEnded` is asked only when there is nothing to read. */
export async function* tailOutput(input: {
  files: RunFiles;
  redact: Redact;
  from: SpoolOffset;
  signal: AbortSignal;
  hasEnded: () => Promise<boolean>;
}): AsyncGenerator<OutputBatch> {
  const { files, redact, from, signal } = input;
  const spools: SpoolFile[] = [];
  try {
    for (const stream of ['stdout', 'stderr'] as const) {
      spools.push(await SpoolFile.open({ path: files[stream], stream, from: from[stream], redact }));
    }
    const batch = createBatch(from);
    for await (const lines of followLines({ spools, signal, hasEnded: input.hasEnded })) {
      for (const line of lines) {
        batch.add(line);
        if (batch.isFull()) yield batch.take();
      }
      if (lines.length === 0 && !batch.isEmpty()) yield batch.take();
    }
  } finally {
    for (const spool of spools) await spool[Symbol.asyncDispose]();
  }
}

/** The lines of all spools, a chunk of each in turn; no lines when there is nothing more to read for now. */
async function* followLines(input: {
  spools: readonly SpoolFile[];
  signal: AbortSignal;
  hasEnded: () => Promise<boolean>;
}): AsyncGenerator<readonly OutputLine[]> {
  const { spools, signal } = input;
  let sealed = false;
  let pauseMs = MIN_PAUSE_MS;
  while (!signal.aborted) {
    let progress = false;
    for (const spool of spools) {
      const lines = await spool.next();
      if (lines === null) continue;
      progress = true;
      if (lines.length > 0) yield lines;
    }
    if (progress) {
      pauseMs = MIN_PAUSE_MS;
      continue;
    }
    if (sealed) {
      yield spools.flatMap((spool) => spool.last() ?? []);
      yield [];
      return;
    }
    yield [];
    if (await input.hasEnded()) {
      // What it wrote is in the files by now. A child that it left behind may go on writing, but not for us.
      for (const spool of spools) await spool.seal();
      sealed = true;
    } else {
      await pause(pauseMs, signal);
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  }
}

export function createBatch(from: SpoolOffset) {
  const offset = { ...from };
  let lines: OutputLine[] = [];
  let length = 0;
  return {
    isEmpty: () => lines.length === 0,
    isFull: () => lines.length >= MAX_BATCH_LINES || length >= MAX_BATCH_LENGTH,
    add(line: OutputLine): void {
      lines.push(line);
      length += line.text.length;
      offset[line.stream] = line.end;
    },
    take(): OutputBatch {
      const batch = { lines, offset: { ...offset } };
      lines = [];
      length = 0;
      return batch;
    },
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
