/** Sends what a subscription gives over its WebSocket, as fast as that is read. */
import { ENDED, type Feed } from '../std/feed.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Payload } from './payload.ts';

/**
 * For graphql-ws: an iterator that gives nothing, as everything is sent on the way, and that is done when the feed has ended.
 * Its `return` closes the feed.
 */
export class Pump implements AsyncIterableIterator<never, undefined> {
  readonly #feed: Feed<Payload>;
  readonly #writer: FrameWriter;
  readonly #head: Buffer;
  #end: (() => void) | null = null;
  #closed = false;

  /** `id`: of the subscription, as its subscriber calls it. */
  constructor(feed: Feed<Payload>, writer: FrameWriter, id: string) {
    this.#feed = feed;
    this.#writer = writer;
    this.#head = Buffer.from(`{"id":${JSON.stringify(id)},"type":"next","payload":`);
  }

  async next(): Promise<IteratorResult<never, undefined>> {
    if (!this.#closed) {
      await new Promise<void>((end) => {
        this.#end = end;
        this.#run();
      });
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<never, undefined>> {
    this.#closed = true;
    this.#feed.close();
    this.#end?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
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
      if (payload === ENDED) this.#closed = true;
      else this.#writer.add(this.#head, payload.json);
    }
    this.#end?.();
  };
}
