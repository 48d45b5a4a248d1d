/**
 * Writes the text frames of a WebSocket's subscriptions: each is what is its subscriber's own, then bytes that all share. What
 * comes in one turn of the event loop leaves in one write. ws writes all other frames; both write whole frames only.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Waiter } from '../std/feed.ts';
import type { Payload } from './payload.ts';

/** Bytes that wait to be sent over one socket before its subscriptions take nothing more. */
const MAX_UNSENT_BYTES = 128 * 1024;
/** More than this in one turn is not copied together. */
const MAX_COPIED_BYTES = 64 * 1024;
const FINAL_TEXT = 0x81;
const END = Buffer.from('}');

/** A head, of which each character is a byte, or a body. */
type Part = string | Payload;

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
  #waiting: Waiter[] | null = null;
  #draining = false;

  constructor(socket: WebSocket, stream: Duplex, writers: FrameWriters) {
    this.#socket = socket;
    this.#stream = stream;
    this.#writers = writers;
  }

  get hasRoom(): boolean {
    return this.#stream.writableLength + this.#bytes < MAX_UNSENT_BYTES;
  }

  /** One frame: `head`, of which each character is a byte, the bytes of `body` and a closing brace. */
  add(head: string, body: Payload): void {
    if (this.#parts) this.#parts.push(head, body);
    else {
      this.#parts = [head, body];
      this.#writers.add(this);
    }
    this.#bytes += sizeOf(head, body);
  }

  /** Tells it when there is room again; never, when the socket is closed first. */
  whenRoom(waiter: Waiter): void {
    if (this.#waiting) this.#waiting.push(waiter);
    else this.#waiting = [waiter];
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
    // A string leaves without a buffer of its own being made for it.
    if (bytes <= MAX_COPIED_BYTES) this.#stream.write(join(parts), 'latin1');
    else this.#writeEach(parts);
    if (this.#waiting) this.#awaitRoom();
  }

  #writeEach(parts: readonly Part[]): void {
    this.#stream.cork();
    for (let index = 0; index < parts.length; index += 2) {
      const head = parts[index] as string;
      const { json } = parts[index + 1] as Payload;
      this.#stream.write(headerOf(head.length + json.length + 1) + head, 'latin1');
      this.#stream.write(json);
      this.#stream.write(END);
    }
    this.#stream.uncork();
  }

  #awaitRoom(): void {
    if (this.hasRoom) {
      const waiting = this.#waiting ?? [];
      this.#waiting = null;
      for (const waiter of waiting) process.nextTick(() => waiter.ready());
    } else if (!this.#draining) {
      this.#draining = true;
      this.#stream.once('drain', () => {
        this.#draining = false;
        this.#awaitRoom();
      });
    }
  }
}

function sizeOf(head: string, { json }: Payload): number {
  const length = head.length + json.length + 1;
  return length + (length < 126 ? 2 : length < 65_536 ? 4 : 10);
}

/** Each character is a byte. */
function join(parts: readonly Part[]): string {
  let joined = '';
  for (let index = 0; index < parts.length; index += 2) {
    const head = parts[index] as string;
    const { latin1 } = parts[index + 1] as Payload;
    joined += `${headerOf(head.length + latin1.length + 1)}${head}${latin1}}`;
  }
  return joined;
}

/** RFC 6455, section 5.2, of one whole, unmasked text frame; each character is a byte. */
function headerOf(length: number): string {
  if (length < 126) return String.fromCharCode(FINAL_TEXT, length);
  if (length < 65_536) return String.fromCharCode(FINAL_TEXT, 126, length >> 8, length & 0xff);
  const header = Buffer.from([FINAL_TEXT, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeBigUInt64BE(BigInt(length), 2);
  return header.toString('latin1');
}
