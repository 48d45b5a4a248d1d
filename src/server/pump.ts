/** Sends what a subscription gives over its WebSocket, as fast as that is read. */
import { ENDED, type Feed, type Waiter } from '../std/feed.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Payload } from './payload.ts';

export interface PumpOwner {
  /** Its feed has ended, and everything is with the writer. */
  pumpEnded(pump: Pump): void;
}

export class Pump implements Waiter {
  /** As its subscriber calls it. */
  readonly id: string;
  /** Of the same socket; see `GraphqlSocket`. */
  next: Pump | null;
  readonly #owner: PumpOwner;
  #feed: Feed<Payload> | null = null;
  #writer: FrameWriter | null = null;
  #head = '';

  constructor({ id, owner, next }: Pick<Pump, 'id' | 'next'> & { readonly owner: PumpOwner }) {
    this.id = id;
    this.#owner = owner;
    this.next = next;
  }

  start(feed: Feed<Payload>, writer: FrameWriter): void {
    this.#feed = feed;
    this.#writer = writer;
    this.#head = headOf(this.id);
    this.ready();
  }

  /** Whoever closes it is not told that it has ended. */
  close(): void {
    const feed = this.#feed;
    this.#feed = null;
    feed?.close();
  }

  /** Of its feed, or its writer: it may go on. */
  ready(): void {
    const writer = this.#writer;
    for (let feed = this.#feed; feed && writer; feed = this.#feed) {
      if (!writer.hasRoom) {
        writer.whenRoom(this);
        return;
      }
      const payload = feed.take();
      if (payload === null) {
        feed.wait(this);
        return;
      }
      if (payload === ENDED) {
        this.#feed = null;
        this.#owner.pumpEnded(this);
      } else writer.add(this.#head, payload);
    }
  }
}

/** The beginning of a subscription's frames, of which each byte is a character. */
export function headOf(id: string): string {
  return Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`).toString('latin1');
}
