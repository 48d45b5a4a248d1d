/**
 * The WebSocket of one exec. It opens, takes the command's input in pieces, gives what comes channel by channel, holds
 * the server back while nobody reads, and ends exactly once: with the exit code, or with an ExecError.
 */
import type { IncomingMessage } from 'node:http';
import WebSocket from 'ws';
import { ExecError } from './exec-error.ts';
import { readExecStatus } from './exec-status.ts';
import type { KubeConnection } from './kube-credentials.ts';
import { isTransientStatus, readStatus } from './kube-error.ts';
import { messageOf } from './kube-request.ts';

export interface ExecSocketOptions {
  readonly connection: KubeConnection;
  readonly url: URL;
  readonly pod: string;
  readonly handshakeMs: number;
  readonly pingMs: number;
  readonly silenceMs: number;
  onOutput(channel: 'stdout' | 'stderr', bytes: Buffer): void;
  /** The command is being started. */
  onOpen(): void;
  /** Once, and the last that is heard. `error` is thrown where there is no exit code. */
  onEnd(end: number | ExecError): void;
}

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const STATUS = 3;
/** Only v5: closes the channel that the next byte names. */
const CLOSE = 255;
const V5 = 'v5.channel.k8s.io';
const V4 = 'v4.channel.k8s.io';

/** Kubelets send 32 KiB at a time. */
const MAX_MESSAGE_BYTES = 512 * 1024;
const STDIN_CHUNK_BYTES = 64 * 1024;
const MAX_REFUSAL_BYTES = 64 * 1024;

export class ExecSocket {
  readonly #options: ExecSocketOptions;
  readonly #socket: WebSocket;
  #pinging: NodeJS.Timeout | undefined;
  #heardAt = performance.now();
  #isOpen = false;
  #isWriting = false;
  #answersPings = false;
  #refused = false;
  #ended = false;

  constructor(options: ExecSocketOptions) {
    this.#options = options;
    this.#socket = new WebSocket(options.url.href.replace(/^http/, 'ws'), [V5, V4], {
      ...options.connection.options,
      handshakeTimeout: Math.max(1, options.handshakeMs),
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    this.#socket.on('open', () => this.#onOpen());
    this.#socket.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary));
    this.#socket.on('pong', () => this.#onPong());
    this.#socket.on('unexpected-response', (_request, response) => void this.#onRefusal(response));
    this.#socket.on('error', (error) => this.#onError(error));
    this.#socket.on('close', (code, reason) => this.#onClose(code, reason.toString()));
  }

  /** Nothing more is read from the network, beyond what has arrived. */
  pause(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.pause();
  }

  resume(): void {
    this.#heardAt = performance.now();
    this.#socket.resume();
  }

  /**
   * The command's whole input, 64 KiB at a time. Ends early when the exec does. With v5 the command then reads the end of
   * its input; with v4, all that Kubernetes before 1.30 speaks, it never does, and has to know how much it reads.
   */
  async writeInput(bytes: Uint8Array): Promise<void> {
    this.#isWriting = true;
    for (let start = 0; start < bytes.length && !this.#ended; start += STDIN_CHUNK_BYTES) {
      const chunk = bytes.subarray(start, start + STDIN_CHUNK_BYTES);
      await this.#send(Buffer.concat([Buffer.of(STDIN), chunk]));
    }
    if (this.#socket.protocol === V5) await this.#send(Buffer.of(CLOSE, STDIN));
    this.#isWriting = false;
  }

  /** The connection stood, so the command may have been run. */
  get started(): boolean {
    return this.#isOpen;
  }

  /** Breaks the connection, if it still stands. Nothing is heard of it any more. */
  destroy(): void {
    this.#ended = true;
    clearInterval(this.#pinging);
    this.#socket.terminate();
  }

  #finish(end: number | ExecError): void {
    if (this.#ended) return;
    this.destroy();
    this.#options.onEnd(end);
  }

  /** Resolves when the network has taken it: no more than one piece waits in memory. */
  #send(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => this.#socket.send(bytes, () => resolve()));
  }

  #onOpen(): void {
    if (this.#ended) return;
    this.#isOpen = true;
    this.#heardAt = performance.now();
    this.#pinging = setInterval(() => this.#watchSilence(), this.#options.pingMs);
    this.#options.onOpen();
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    this.#heardAt = performance.now();
    const channel = data[0];
    const bytes = data.subarray(1);
    if (!isBinary || channel === undefined) {
      this.#fail('protocol', 'The server sent a message without a channel.');
    } else if (channel === STDOUT || channel === STDERR) {
      if (bytes.length > 0) this.#options.onOutput(channel === STDOUT ? 'stdout' : 'stderr', bytes);
    } else if (channel === STATUS) {
      // Servers open every channel with an empty message.
      if (bytes.length > 0) this.#finish(readExecStatus(bytes.toString()));
    } else if (channel !== STDIN && channel !== CLOSE) {
      this.#fail('protocol', `The server sent a message on channel ${channel}, which nobody knows.`);
    }
  }

  #onPong(): void {
    this.#heardAt = performance.now();
    this.#answersPings = true;
  }

  /**
   * Asks a server that says nothing whether it is there. Never while output may be on its way: when the command has ended,
   * what is sent to it meets a closed connection, and the proxies in between then drop the output that they still hold.
   * Never while the command takes its input either: the server comes to nothing else before.
   */
  #watchSilence(): void {
    const silentMs = performance.now() - this.#heardAt;
    if (this.#socket.isPaused || this.#isWriting) return;
    if (this.#answersPings && silentMs > this.#options.silenceMs) {
      this.#fail('cut', `The server has been silent for ${Math.round(silentMs / 1000)} s.`);
    } else if (silentMs > this.#options.pingMs / 2) this.#socket.ping();
  }

  async #onRefusal(response: IncomingMessage): Promise<void> {
    this.#refused = true;
    const status = response.statusCode ?? 0;
    // Bounded by the deadline of the exec, which breaks the connection.
    const body = await readStart(response);
    const said = readStatus(body);
    // A kubelet that does not have the pod yet is a 404, too, and so is a node that is gone: `pods "NODE" not found`.
    const isGone = status === 404 && said?.kind === 'pods' && said.name === this.#options.pod;
    this.#finish(
      new ExecError({
        kind: isGone ? 'gone' : 'refused',
        message: said?.message ?? (body.trim() || `The server answered HTTP ${status}.`),
        retryable: !isGone && (status === 401 || status === 404 || isTransientStatus(status)),
        started: false,
        status,
      }),
    );
  }

  #onError(error: Error): void {
    if (this.#refused) return;
    if (error.message === 'Opening handshake has timed out') {
      this.#fail('timeout', `The server did not open the exec within ${this.#options.handshakeMs} ms.`);
    } else if ('code' in error && String(error.code).startsWith('WS_ERR')) {
      this.#fail('protocol', `The server broke the rules of WebSocket: ${messageOf(error)}`);
    } else this.#fail('cut', `The connection of the exec broke: ${messageOf(error)}`);
  }

  #onClose(code: number, reason: string): void {
    if (this.#refused) return;
    const said = reason === '' ? '' : `: ${reason}`;
    this.#fail('cut', `The exec was closed without an exit code (${code})${said}.`);
  }

  #fail(kind: 'cut' | 'timeout' | 'protocol', message: string): void {
    this.#finish(new ExecError({ kind, message, retryable: true, started: this.started }));
  }
}

async function readStart(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // What came before is all that there is.
  }
  return Buffer.concat(chunks).toString('utf8', 0, MAX_REFUSAL_BYTES);
}
