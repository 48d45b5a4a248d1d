/** A run in a pod: its output is read by offset, in execs that end by themselves. */
import type { RunState, TailRequest } from '../inside/call.ts';
import { createOutputLines } from '../output-lines.ts';
import type { Redact } from '../redact.ts';
import type { ExitStatus, OutputBatch, Run, SpoolOffset } from '../runtime.ts';
import { createBatch } from '../tail-output.ts';
import { ExecError } from './exec-error.ts';
import { type CalledPod, failWhenSuperseded, type PodCalls } from './pod-calls.ts';
import { CONTAINERS } from './pod-layout.ts';
import { outOfMemory } from './pod-loss.ts';
import { type ReadFrame, readFrames, readState } from './tail-frames.ts';

/** One exec reads for so long, or so much, at most. */
const TAIL_MS = 20_000;
const TAIL_BYTES = 32 * 1024 ** 2;
/** It ends by itself before this, or has said something: a connection that is gone need not say so. */
const SILENCE_MS = 2 * TAIL_MS;
/** With a reader that takes its time. */
const TAIL_DEADLINE_MS = 10 * 60_000;
const STOP_MS = 2 * 60_000;

export interface KubernetesRunOptions {
  readonly buildId: string;
  readonly pod: CalledPod;
  readonly calls: PodCalls;
  readonly redact: Redact;
  /** Called when somebody has begun to read, which looks after the run. */
  readonly onRead: () => void;
  /** An exec that says nothing for so long is given up, and another one reads on; default 40 s. */
  readonly silenceMs?: number;
}

export class KubernetesRun implements Run {
  readonly #options: KubernetesRunOptions;
  #known: RunState | null = null;
  #looking: Promise<RunState> | null = null;

  constructor(options: KubernetesRunOptions) {
    this.#options = options;
  }

  async *read(from: SpoolOffset, signal: AbortSignal): AsyncGenerator<OutputBatch> {
    const { pod, calls, redact } = this.#options;
    const output = startOutput(from, redact);
    const tries = { since: performance.now(), count: 0 };
    while (!signal.aborted) {
      try {
        for await (const frame of this.#tail(output.position(), signal)) {
          tries.count = 0;
          tries.since = performance.now();
          if ('ended' in frame) {
            yield* output.end();
            this.#known = frame.ended;
            return failOnMemory(frame.ended);
          }
          if ('stream' in frame) yield* output.add(frame);
          else yield* output.flush();
          this.#known = { hasRun: true, exit: null, oomKills: 0, outputBytes: output.bytes() };
        }
      } catch (error) {
        if (signal.aborted) return;
        yield* output.flush();
        await calls.recover(pod, error, tries, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason;
        });
      }
    }
  }

  /** As the pod has said with the last that was read of it: the agent may be far ahead of its reader. */
  async outputBytes(): Promise<number> {
    return (this.#known ?? (await this.#look())).outputBytes;
  }

  async notices(): Promise<readonly string[]> {
    return [];
  }

  async exitStatus(): Promise<ExitStatus | null> {
    const { hasRun, exit } = this.#known?.exit ? this.#known : await this.#look();
    return hasRun ? exit : { kind: 'lost' };
  }

  async send(line: string): Promise<void> {
    const { buildId, pod, calls } = this.#options;
    await calls.ask(pod, { container: CONTAINERS.git, operation: 'send', data: { buildId, line } });
  }

  async stop({ graceMs }: { graceMs: number }): Promise<void> {
    const { buildId, pod, calls } = this.#options;
    const deadlineMs = graceMs + STOP_MS;
    await calls.ask(pod, { container: CONTAINERS.agent, operation: 'stop', data: { buildId, graceMs }, deadlineMs });
  }

  /** Who asks while an answer is awaited is given the same: a pod may take minutes to answer. */
  #look(): Promise<RunState> {
    this.#looking ??= this.#ask().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #ask(): Promise<RunState> {
    const { buildId, pod, calls } = this.#options;
    const answer = await calls.ask(pod, { container: CONTAINERS.agent, operation: 'look', data: { buildId } });
    this.#known = readState(answer);
    failOnMemory(this.#known);
    return this.#known;
  }

  async *#tail(from: SpoolOffset, reader: AbortSignal): AsyncGenerator<ReadFrame> {
    const { buildId, pod, calls, onRead, silenceMs = SILENCE_MS } = this.#options;
    onRead();
    // A stream may not say that its pod is gone.
    const loss = new AbortController();
    const silence = new AbortController();
    const timer = silenceTimer(silenceMs, () => silence.abort());
    const off = pod.onLoss(() => loss.abort());
    try {
      const data: TailRequest = { buildId, from, maxMs: TAIL_MS, maxBytes: TAIL_BYTES };
      const signal = AbortSignal.any([reader, loss.signal, silence.signal]);
      const stream = calls.stream(pod, {
        ...{ container: CONTAINERS.agent, operation: 'tail', data, deadlineMs: TAIL_DEADLINE_MS, signal },
        // Before, it may have to wait for other readers.
        onStart: timer.restart,
      });
      yield* readFrames(untilSilent(stream, timer), () => stream.hasMore);
      const end = await stream.exit;
      if (end.exitCode === 0) return;
      failWhenSuperseded(end);
      throw cut(`The reader in the pod ended with ${end.exitCode}.`);
    } catch (error) {
      throw silence.signal.aborted ? cut(`The reader in the pod was silent for ${silenceMs / 1000} s.`) : error;
    } finally {
      timer.stop();
      off();
    }
  }
}

function cut(message: string): ExecError {
  return new ExecError({ kind: 'cut', message, retryable: true, started: true });
}

/** Calls `onSilence` when it was not begun anew for so long. */
function silenceTimer(silenceMs: number, onSilence: () => void) {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => clearTimeout(timer);
  const restart = () => {
    stop();
    timer = setTimeout(onSilence, silenceMs);
  };
  return { restart, stop };
}

/** The time that the reader takes is no silence. */
async function* untilSilent(chunks: AsyncIterable<Buffer>, timer: ReturnType<typeof silenceTimer>) {
  for await (const chunk of chunks) {
    timer.stop();
    yield chunk;
    timer.restart();
  }
}

/** Lines in batches, from the bytes of both streams. */
function startOutput(from: SpoolOffset, redact: Redact) {
  const lines = {
    stdout: createOutputLines({ stream: 'stdout', from: from.stdout, redact }),
    stderr: createOutputLines({ stream: 'stderr', from: from.stderr, redact }),
  };
  const at = { ...from };
  const sizes = { ...from };
  const batch = createBatch(from);
  function* flush(): Generator<OutputBatch> {
    if (!batch.isEmpty()) yield batch.take();
  }
  return {
    flush,
    /** Where reading goes on; a batch ends with the last whole line before. */
    position: (): SpoolOffset => ({ ...at }),
    /** Read or not. */
    bytes: () => Math.max(at.stdout, sizes.stdout) + Math.max(at.stderr, sizes.stderr),
    *add({ stream, data, isLast, size }: Extract<ReadFrame, { stream: string }>): Generator<OutputBatch> {
      at[stream] += data.length;
      sizes[stream] = size;
      for (const line of lines[stream].push(data)) {
        batch.add(line);
        if (batch.isFull()) yield batch.take();
      }
      if (isLast) yield* flush();
    },
    *end(): Generator<OutputBatch> {
      for (const { end } of Object.values(lines)) {
        const last = end();
        if (last) batch.add(last);
      }
      yield* flush();
    },
  };
}

/** An agent that did not end well, where the kernel has killed for memory, has ended of that. */
function failOnMemory({ exit, oomKills }: RunState): void {
  if (exit === null || oomKills === 0 || (exit.kind === 'exited' && exit.code === 0)) return;
  throw outOfMemory();
}
