/** Asks the program inside a pod, again and again while there is hope: execs break, API servers restart, the pod goes on. */
import { setTimeout as delay } from 'node:timers/promises';
import { SupersededError } from '../../errors.ts';
import { packData, unpackData } from '../../std/pack-data.ts';
import { type Fence, type InsideHeader, SUPERSEDED_EXIT } from '../inside/call.ts';
import { ExecError } from './exec-error.ts';
import { ExecTurns } from './exec-turns.ts';
import type { KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import { type ExecEnd, type PodStream, streamFromPod } from './pod-exec.ts';
import { type CONTAINERS, NODE, PACKAGE } from './pod-layout.ts';
import { outOfMemory } from './pod-loss.ts';
import { readAnswer } from './read-answer.ts';
import { PATIENCE_MS } from './until-reached.ts';

const PROGRAM = `${PACKAGE}/src/runtimes/inside/program.ts`;
const MIN_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;
const DEADLINE_MS = 60_000;
/** By SIGKILL: the container is about to end, or the kernel wants its memory back. */
const KILLED = 137;
const MAX_KILLS = 4;

export type PodContainer = typeof CONTAINERS.git | typeof CONTAINERS.agent;

export interface PodCall {
  readonly container: PodContainer;
  readonly operation: string;
  readonly data: unknown;
  /** Of one try. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** Called when the connection stands. */
  readonly onStart?: () => void;
}

/** A pod, and whether it still lives. */
export interface CalledPod {
  readonly name: string;
  /** On whose behalf it is called; null: anybody's. */
  readonly fence: Fence | null;
  /** Rejects with a WorkspaceLostError when the pod is gone, and returns when it lives or nobody can say. */
  check(): Promise<void>;
  /** Calls the listener once the pod is gone; gives what ends that. */
  onLoss(listener: () => void): () => void;
}

export class PodCalls {
  readonly #api: KubeApi;
  readonly #turns = new ExecTurns();

  constructor(api: KubeApi) {
    this.#api = api;
  }

  /**
   * The answer of the operation, which must be safe to repeat. Rejects with WorkspaceLostError when the pod is gone, with
   * SupersededError when a later attempt has the workspace, and with the program's own words when it fails.
   */
  async ask<T>(pod: CalledPod, call: PodCall): Promise<T> {
    let kills = 0;
    return this.#persist(pod, call, async () => {
      const { end, answer } = await readAnswer(this.stream(pod, call), {
        large: this.#turns.largeAnswers,
        take: (ended, stdout) => ({ end: ended, answer: ended.exitCode === 0 ? (unpackData(stdout) as T) : null }),
      });
      if (end.exitCode === 0) return answer as T;
      if (end.exitCode === KILLED) {
        kills += 1;
        if (kills < MAX_KILLS) throw killed(call.operation);
        await pod.check();
        throw outOfMemory();
      }
      failWhenSuperseded(end);
      throw new Error(lastWords(end.stderr) ?? `${call.operation} failed in the pod.`);
    });
  }

  /** What the operation prints, of one try. */
  stream(pod: CalledPod, call: PodCall): PodStream {
    return streamFromPod(this.#api, this.#command(pod, call));
  }

  /** Waits before another try; throws `error` when there is no hope, or a WorkspaceLostError. */
  async recover(pod: CalledPod, error: unknown, tries: { since: number; count: number }, signal?: AbortSignal) {
    signal?.throwIfAborted();
    if (!(error instanceof ExecError || error instanceof KubeError)) throw error;
    await pod.check();
    if (!error.retryable && !isStarting(error)) throw error;
    if (performance.now() - tries.since > PATIENCE_MS) throw error;
    const pauseMs = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** Math.min(tries.count, 8));
    tries.count += 1;
    await delay(pauseMs * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {});
  }

  async #persist<T>(pod: CalledPod, { signal }: PodCall, attempt: () => Promise<T>): Promise<T> {
    const tries = { since: performance.now(), count: 0 };
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        await this.recover(pod, error, tries, signal);
      }
    }
  }

  #command(pod: CalledPod, { container, operation, data, deadlineMs = DEADLINE_MS, signal, onStart }: PodCall) {
    const body = packData(data);
    const header: InsideHeader = { operation, bytes: body.length, ...(pod.fence ? { fence: pod.fence } : {}) };
    return {
      pod: pod.name,
      container,
      // The operation is there for whoever reads an audit log.
      argv: [NODE, PROGRAM, operation] as const satisfies [string, ...string[]],
      stdin: Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body]),
      deadlineMs,
      turns: this.#turns.of(operation),
      ...(signal ? { signal } : {}),
      ...(onStart ? { onStart } : {}),
    };
  }
}

/** Throws the SupersededError that the program in the pod has ended with. */
export function failWhenSuperseded({ exitCode, stderr }: ExecEnd): void {
  if (exitCode === SUPERSEDED_EXIT) throw new SupersededError(stderr.trim());
}

/** The kubelet does not know the container yet, or not any more: the pod's state says which. */
function isStarting(error: ExecError | KubeError): boolean {
  return error instanceof ExecError && error.kind === 'refused';
}

function killed(operation: string): ExecError {
  return new ExecError({ kind: 'cut', message: `${operation} was killed in the pod.`, retryable: true, started: true });
}

/** Of a stack trace that a program has left on stderr: what it says of the error. */
function lastWords(stderr: string): string | null {
  const line = stderr.split('\n').find((text) => /^(?:\w*Error|Error)\b.*: /.test(text));
  return line?.replace(/^\w+(?: \[\w+\])?: /, '') ?? (stderr.trim().slice(-500) || null);
}
