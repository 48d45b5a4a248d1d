/**
 * Commands in a container, over an exec that may break at any moment: it always ends, in time, and says how. Arguments
 * are part of a URL, which servers log: what is secret goes through `stdin`.
 */
import type { Turns } from '../../std/turns.ts';
import { ExecError } from './exec-error.ts';
import { ExecSocket } from './exec-socket.ts';
import type { KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import { checkName, pathOf } from './kube-names.ts';
import { messageOf, urlOf } from './kube-request.ts';

export interface PodCommand {
  readonly pod: string;
  readonly container: string;
  readonly argv: readonly [string, ...string[]];
  /**
   * Its whole input. On a server that speaks v4.channel.k8s.io only (before 1.30) the command never reads the end of it:
   * it has to be told how many bytes there are.
   */
  readonly stdin?: Uint8Array;
  /** For all of it, the connection included. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** It is opened when its turn has come, and ends that when it ends; waiting counts for the deadline. */
  readonly turns?: Turns;
  /** Called when the connection stands. */
  readonly onStart?: () => void;
  /** A server that does not open the exec within this is given up; default 10 s. */
  readonly handshakeMs?: number;
  /** A server that says nothing for so long is asked whether it is there; default 10 s. */
  readonly pingMs?: number;
  /** A server that has answered, and then says nothing for so long, is gone; default 20 s. */
  readonly silenceMs?: number;
}

export interface ExecEnd {
  /** Of a command that a signal ended, 128 and its number. */
  readonly exitCode: number;
  /** The last 64 KiB of it, as text. */
  readonly stderr: string;
}

export interface ExecResult {
  /** Null when the output was cut: the command may run on. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface PodStream extends AsyncIterable<Buffer> {
  /** More than what was given has come already. */
  readonly hasMore: boolean;
  /**
   * How the command ended, which may be known before all output was read; rejects with an ExecError. What was given up by
   * leaving the loop is `aborted`.
   */
  readonly exit: Promise<ExecEnd>;
}

const HANDSHAKE_MS = 10_000;
const PING_MS = 10_000;
const SILENCE_MS = 20_000;
const MAX_STDERR_BYTES = 64 * 1024;
/** Unread output in memory; what is already on its way adds at most a message and a read of the socket. */
const HOLD_BYTES = 512 * 1024;
const RELEASE_BYTES = 128 * 1024;
/** What a message costs beyond its bytes: a command may print one byte at a time. */
const MESSAGE_BYTES = 256;

/** Runs a command to its end. Output beyond `maxOutputBytes` breaks it off. Rejects with an ExecError or a KubeError. */
export async function execInPod(
  api: KubeApi,
  command: PodCommand & { readonly maxOutputBytes: number },
): Promise<ExecResult> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const exec = new PodExec(api, command);
  for await (const chunk of exec) {
    const kept = chunk.subarray(0, command.maxOutputBytes - bytes);
    chunks.push(kept);
    bytes += kept.length;
    if (kept.length < chunk.length) {
      return { exitCode: null, stdout: Buffer.concat(chunks, bytes), stderr: exec.stderr, truncated: true };
    }
  }
  return { ...(await exec.exit), stdout: Buffer.concat(chunks, bytes), truncated: false };
}

/**
 * Runs a command whose output is read as it comes: the server waits while nobody reads. The loop over it ends when the
 * command has, and throws an ExecError where there is no exit code, after all output that came. Leaving the loop breaks
 * the exec off.
 */
export function streamFromPod(api: KubeApi, command: PodCommand): PodStream {
  return new PodExec(api, command);
}

class PodExec implements PodStream {
  readonly exit: Promise<ExecEnd>;
  readonly #command: PodCommand;
  readonly #timer: NodeJS.Timeout;
  readonly #output: Buffer[] = [];
  #outputBytes = 0;
  #stderr = Buffer.alloc(0);
  #socket: ExecSocket | null = null;
  readonly #ended = new AbortController();
  #leaveTurn: () => void = () => {};
  #end: number | ExecError | KubeError | null = null;
  #settle: () => void = () => {};
  /** Of the reader that waits for output or the end. */
  #wake: () => void = () => {};
  #held = false;

  constructor(api: KubeApi, command: PodCommand) {
    this.#command = command;
    this.exit = new Promise((resolve, reject) => {
      this.#settle = () => {
        if (typeof this.#end === 'number') resolve({ exitCode: this.#end, stderr: this.stderr });
        else reject(this.#end);
      };
    });
    // The loop over the output says the same.
    this.exit.catch(() => {});
    const { deadlineMs, signal } = command;
    const late = () => this.#fail('timeout', `The command did not end within ${deadlineMs} ms.`);
    this.#timer = setTimeout(late, deadlineMs);
    if (signal?.aborted) this.#onAbort();
    else {
      signal?.addEventListener('abort', this.#onAbort, { once: true });
      void this.#open(api);
    }
  }

  get stderr(): string {
    return this.#stderr.toString();
  }

  get hasMore(): boolean {
    return this.#output.length > 0;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const chunk = this.#output.shift();
        if (chunk !== undefined) {
          this.#outputBytes -= chunk.length + MESSAGE_BYTES;
          if (this.#held && this.#outputBytes <= RELEASE_BYTES) this.#release();
          yield chunk;
        } else if (this.#end === null) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        } else if (typeof this.#end === 'number') return;
        else throw this.#end;
      }
    } finally {
      this.#fail('aborted', 'Nobody reads what the command prints.');
    }
  }

  readonly #onAbort = () => this.#fail('aborted', 'The exec was given up.');

  async #open(api: KubeApi): Promise<void> {
    const openedAt = performance.now();
    const command = this.#command;
    try {
      const path = execPath(api.namespace, command);
      await this.#awaitTurn();
      const startedAt = performance.now();
      const connection = await api.connect();
      if (this.#end !== null) return;
      const passedMs = performance.now() - openedAt;
      this.#socket = new ExecSocket({
        connection,
        pod: command.pod,
        url: urlOf(connection.url, path, execQuery(command)),
        handshakeMs: Math.min(command.handshakeMs ?? HANDSHAKE_MS, command.deadlineMs - passedMs),
        pingMs: command.pingMs ?? PING_MS,
        silenceMs: command.silenceMs ?? SILENCE_MS,
        onOutput: (channel, bytes) => (channel === 'stdout' ? this.#take(bytes) : this.#takeStderr(bytes)),
        onOpen: () => {
          if (command.stdin) void this.#socket?.writeInput(command.stdin);
          command.onStart?.();
        },
        onEnd: (end) => {
          // The next exec is let in, if anybody is.
          if (end instanceof ExecError && end.status === 401) api.renewCredentials(startedAt).catch(() => {});
          this.#finish(end);
        },
      });
    } catch (error) {
      if (error instanceof KubeError) this.#finish(error);
      else this.#fail('cut', `The exec could not be opened: ${messageOf(error)}`);
    }
  }

  /** Rejects when the exec has ended before, by its deadline or its caller. */
  async #awaitTurn(): Promise<void> {
    const leave = await this.#command.turns?.enter(this.#ended.signal);
    if (this.#end !== null) leave?.();
    else if (leave) this.#leaveTurn = leave;
  }

  #take(bytes: Buffer): void {
    this.#output.push(bytes);
    this.#outputBytes += bytes.length + MESSAGE_BYTES;
    if (!this.#held && this.#outputBytes >= HOLD_BYTES) {
      this.#held = true;
      this.#socket?.pause();
    }
    this.#wake();
  }

  #release(): void {
    this.#held = false;
    if (this.#end === null) this.#socket?.resume();
  }

  #takeStderr(bytes: Buffer): void {
    const kept = Buffer.concat([this.#stderr, bytes]);
    this.#stderr = kept.subarray(Math.max(0, kept.length - MAX_STDERR_BYTES));
  }

  #fail(kind: 'timeout' | 'aborted' | 'cut', message: string): void {
    const started = this.#socket?.started ?? false;
    this.#finish(new ExecError({ kind, message, retryable: kind !== 'aborted', started }));
  }

  #finish(end: number | ExecError | KubeError): void {
    if (this.#end !== null) return;
    this.#end = end;
    clearTimeout(this.#timer);
    this.#command.signal?.removeEventListener('abort', this.#onAbort);
    this.#socket?.destroy();
    this.#leaveTurn();
    this.#ended.abort();
    this.#settle();
    this.#wake();
  }
}

function execPath(namespace: string, command: PodCommand): string {
  checkName('pod', command.pod);
  checkName('container', command.container);
  return pathOf(['api', 'v1', 'namespaces', namespace, 'pods', command.pod, 'exec']);
}

function execQuery(command: PodCommand): URLSearchParams {
  const query = new URLSearchParams({ container: command.container, stdout: 'true', stderr: 'true' });
  if (command.stdin) query.set('stdin', 'true');
  for (const argument of command.argv) query.append('command', argument);
  return query;
}
