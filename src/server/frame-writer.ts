/**
 * Writes the text frames of a WebSocket's subscriptions: each is what is its subscriber's own, then bytes that all share. What
 * comes in one turn of the event loop leaves in one write. ws writes all other frames; both write whole frames only.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';

/** Bytes that wait to be sent over one socket before its subscriptions take nothing more. */
const MAX_UNSENT_BYTES = 128 * 1024;
/** More than this in one turn is not copied together. */
const MAX_COPIED_BYTES = 64 * 1024;
const FINAL_TEXT = 0x81;
const END = Buffer.from('}');

/** A head, of which each character is a byte, or a body. */
type Part = string | Buffer;

/** The writers of one server that have something to write at the end of this turn. */
export class FrameWriters {
  #dirty: FrameWriter[] = [];

  open(socket: WebSocket, stream: Duplex): FrameWriter {
    return new FrameWriter(socket, stream, this);
  }

  /** Of a writer: it has something to write. */
  add(writer: FrameWriter): void {
    if (this.#dirty.length === 0) process.nextTick(this.#flush);
    this.#dirty.push(writer);
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const writer of dirty) writer.flush();
  };
}

export class FrameWriter {
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  readonly #writers: FrameWriters;
  /** Heads and bodies, alternating; null while there are none, as with most sockets. */
  #parts: Part[] | null = null;
  #bytes = 0;
  /** Who waits for room. */
  #waiting: (() => void)[] | null = null;
  #draining = false;

  constructor(socket: WebSocket, stream: Duplex, writers: FrameWriters) {
    this.#socket = socket;
    this.#stream = stream;
    this.#writers = writers;
  }

  get hasRoom(): boolean {
    return this.#stream.writableLength + this.#bytes < MAX_UNSENT_BYTES;
  }

  /** One frame: `head`, of which each character is a byte, `body` and a closing brace. */
  add(head: string, body: Buffer): void {
    if (this.#parts) this.#parts.push(head, body);
    else {
      this.#parts = [head, body];
      this.#writers.add(this);
    }
    this.#bytes += sizeOf(head, body);
  }

  /** Calls when there is room again; never, when the socket is closed first. */
  whenRoom(call: () => void): void {
    if (this.#waiting) this.#waiting.push(call);
    else this.#waiting = [call];
    if (!this.#parts) this.#awaitRoom();
  }

  /** To be called before ws writes anything itself, so that nothing overtakes. */
  flush(): void {
    const parts = this.#parts;
    const bytes = this.#bytes;
    if (!parts) return;
    this.#parts = null;
    this.#bytes = 0;
    // After a close frame nothing may follow.
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (bytes <= MAX_COPIED_BYTES) this.#stream.write(join(parts, bytes));
    else this.#writeEach(parts);
    if (this.#waiting) this.#awaitRoom();
  }

  #writeEach(parts: readonly Part[]): void {
    this.#stream.cork();
    for (let index = 0; index < parts.length; index += 2) {
      const head = parts[index] as string;
      const body = parts[index + 1] as Buffer;
      const start = Buffer.allocUnsafe(sizeOf(head, body) - body.length - 1);
      start.write(head, writeHeader(start, 0, head.length + body.length + 1), 'latin1');
      this.#stream.write(start);
      this.#stream.write(body);
      this.#stream.write(END);
    }
    this.#stream.uncork();
  }

  #awaitRoom(): void {
    if (this.hasRoom) {
      const waiting = this.#waiting ?? [];
      this.#waiting = null;
      for (const call of waiting) process.nextTick(call);
    } else if (!this.#draining) {
      this.#draining = true;
      this.#stream.once('drain', () => {
        this.#draining = false;
        this.#awaitRoom();
      });
    }
  }
}

function sizeOf(head: string, body: Buffer): number {
  const length = head.length + body.length + 1;
  return length + (length < 126 ? 2 : length < 65_536 ? 4 : 10);
}

function join(parts: readonly Part[], bytes: number): Buffer {
  const joined = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (let index = 0; index < parts.length; index += 2) {
    const head = parts[index] as string;
    const body = parts[index + 1] as Buffer;
    at = writeHeader(joined, at, head.length + body.length + 1);
    joined.write(head, at, 'latin1');
    joined.set(body, at + head.length);
    at += head.length + body.length;
    joined[at] = 0x7d;
    at += 1;
  }
  return joined;
}

/** RFC 6455, section 5.2: one whole, unmasked text frame. Gives where its content begins. */
function writeHeader(target: Buffer, at: number, length: number): number {
  target[at] = FINAL_TEXT;
  if (length < 126) {
    target[at + 1] = length;
    return at + 2;
  }
  if (length < 65_536) {
    target[at + 1] = 126;
    return target.writeUInt16BE(length, at + 2);
  }
  target[at + 1] = 127;
  return target.writeBigUInt64BE(BigInt(length), at + 2);
}
