/** Sends what a subscription gives over its WebSocket, as fast as that is read. */
import { ENDED, type Feed } from '../std/feed.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Payload } from './payload.ts';

export interface PumpOwner {
  /** Its feed has ended, and everything is with the writer. */
  pumpEnded(pump: Pump): void;
}

export interface PumpOptions {
  /** Of the subscription, as its subscriber calls it. */
  readonly id: string;
  readonly owner: PumpOwner;
}

export class Pump {
  readonly #feed: Feed<Payload>;
  readonly #writer: FrameWriter;
  readonly #head: string;
  readonly #owner: PumpOwner;
  #closed = false;

  constructor(feed: Feed<Payload>, writer: FrameWriter, { id, owner }: PumpOptions) {
    this.#feed = feed;
    this.#writer = writer;
    this.#head = headOf(id);
    this.#owner = owner;
  }

  start(): void {
    this.#run();
  }

  /** Whoever closes it is not told that it has ended. */
  close(): void {
    this.#closed = true;
    this.#feed.close();
  }

  readonly #run = (): void => {
    while (!this.#closed) {
      if (!this.#writer.hasRoom) {
        this.#writer.whenRoom(this.#run);
        return;
      }
      const payload = this.#feed.take();
      if (payload === null) {
        this.#feed.wait(this.#run);
        return;
      }
      if (payload === ENDED) {
        this.#closed = true;
        this.#owner.pumpEnded(this);
      } else this.#writer.add(this.#head, payload.json);
    }
  };
}

/** The beginning of a subscription's frames, of which each byte is a character. */
export function headOf(id: string): string {
  return Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`).toString('latin1');
}
