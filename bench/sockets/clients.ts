/**
 * Subscribers that count: bare TCP sockets that speak just enough of WebSocket, as a client library would be the bottleneck.
 * They look at the length of each frame, and at nothing inside.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Subscribers {
  readonly port: number;
  readonly path: string;
  readonly count: number;
  /** Sent by each: the first, and after its answer the others; `$id` is its number. None for those who only listen. */
  readonly messages: readonly string[];
  /** Frames that answer them before anything is counted. */
  readonly answers: number;
}

/** Connecting at the same time. */
const ABREAST = 100;

const HANDSHAKE = (port: number, path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
  'Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n';

const PING = 0x89;
/** Masked, and empty. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);

/** Counts whole frames of text in pieces of any size. */
class FrameCounter {
  /** Frames that were pings. */
  pings = 0;
  #head = Buffer.alloc(0);
  #rest = 0;
  #isPing = false;

  take(chunk: Buffer): number {
    let frames = 0;
    let data = this.#head.length > 0 ? Buffer.concat([this.#head, chunk]) : chunk;
    this.#head = Buffer.alloc(0);
    while (data.length > 0) {
      if (this.#rest > 0) {
        const skipped = Math.min(this.#rest, data.length);
        this.#rest -= skipped;
        data = data.subarray(skipped);
        if (this.#rest > 0) break;
        if (this.#isPing) this.pings += 1;
        else frames += 1;
        continue;
      }
      const size = headerSize(data);
      if (data.length < size) {
        this.#head = Buffer.from(data);
        break;
      }
      this.#isPing = data[0] === PING;
      this.#rest = size + lengthOf(data, size);
    }
    return frames;
  }
}

const headerSize = (data: Buffer): number => {
  const short = (data[1] ?? 0) & 0x7f;
  return short === 126 ? 4 : short === 127 ? 10 : 2;
};
const lengthOf = (data: Buffer, size: number): number =>
  size === 4 ? data.readUInt16BE(2) : size === 10 ? Number(data.readBigUInt64BE(2)) : (data[1] ?? 0) & 0x7f;

/** A masked text frame; the mask is zero. */
export function textFrame(text: string): Buffer {
  const body = Buffer.from(text);
  const head = body.length < 126 ? Buffer.alloc(6) : Buffer.alloc(8);
  head[0] = 0x81;
  if (body.length < 126) head[1] = 0x80 | body.length;
  else {
    head[1] = 0x80 | 126;
    head.writeUInt16BE(body.length, 2);
  }
  return Buffer.concat([head, body]);
}

export interface Listener {
  readonly socket: Socket;
  onFrames: (count: number) => void;
}

/** Connected, with its messages answered. */
export async function listen(
  { port, path, messages, answers }: Omit<Subscribers, 'count'>,
  id: string,
): Promise<Listener> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.write(HANDSHAKE(port, path));
  const counter = new FrameCounter();
  const ready = Promise.withResolvers<void>();
  let before = answers;
  let upgraded = false;
  const listener: Listener = { socket, onFrames: () => {} };
  const [first, ...others] = messages.map((text) => textFrame(text.replaceAll('$id', id)));
  const count = (frames: number) => {
    const answered = Math.min(before, frames);
    before -= answered;
    if (answered > 0) for (const other of others.splice(0)) socket.write(other);
    if (before === 0) ready.resolve();
    if (frames > answered) listener.onFrames(frames - answered);
  };
  socket.on('data', (chunk) => {
    if (upgraded) {
      count(counter.take(chunk));
      for (; counter.pings > 0; counter.pings -= 1) socket.write(PONG);
      return;
    }
    const end = chunk.indexOf('\r\n\r\n');
    if (end < 0 || !chunk.toString('latin1', 0, 12).endsWith('101')) {
      ready.reject(new Error(`no WebSocket: ${chunk.toString('latin1', 0, 200)}`));
      return;
    }
    upgraded = true;
    if (first) socket.write(first);
    count(counter.take(chunk.subarray(end + 4)));
  });
  socket.on('close', () => ready.reject(new Error('a subscriber was cut')));
  socket.on('error', (error) => ready.reject(error));
  await ready.promise;
  return listener;
}

export async function main(subscribers: Subscribers) {
  const listeners: Listener[] = [];
  let frames = 0;
  let wanted = Number.POSITIVE_INFINITY;
  let reached = () => {};
  const onFrames = (count: number) => {
    frames += count;
    if (frames >= wanted) reached();
  };
  for (let start = 0; start < subscribers.count; start += ABREAST) {
    const some = Array.from({ length: Math.min(ABREAST, subscribers.count - start) }, (_, index) =>
      listen(subscribers, String(start + index)),
    );
    listeners.push(...(await Promise.all(some)));
  }
  for (const listener of listeners) listener.onFrames = onFrames;
  return {
    /** Resolves when so many frames have come since the beginning. */
    async until(total: number) {
      wanted = total;
      if (frames < total) {
        await new Promise<void>((done) => {
          reached = done;
        });
      }
      wanted = Number.POSITIVE_INFINITY;
      return frames;
    },
    frames: () => frames,
    close() {
      for (const { socket } of listeners) socket.destroy();
    },
  };
}
