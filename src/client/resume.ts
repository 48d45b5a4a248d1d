/**
 * A stream that outlives its connection. The API numbers what it sends; this remembers the last number it gave to the
 * reader, opens the stream again behind it after a cut, and drops what it has given already.
 */
import { ApiError, ConnectionError } from './errors.ts';

/** How long a stream may stay without anything new while its connections are being cut or refused. */
const GIVE_UP_AFTER_MS = 5 * 60_000;
/** A connection that lived so long was a good one, even if nothing was said on it. */
const HEALTHY_AFTER_MS = 30_000;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

export interface Numbered<Item> {
  readonly item: Item;
  /** Of the item, or of the last thing in it. */
  readonly number: number;
}

export interface WatchOptions {
  /** The number of the last thing that is known; 0 for all of them. */
  readonly after?: number;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
  /** Milliseconds of trouble without anything new; five minutes when absent. */
  readonly giveUpAfterMs?: number;
  /** Told of every cut; the watch goes on by itself. */
  readonly onCut?: (error: Error) => void;
}

export interface ResumeOptions<Item> extends WatchOptions {
  /** Opens the stream behind this number. */
  readonly open: (after: number, signal: AbortSignal) => AsyncIterable<Item>;
  /** What is new in `item` behind `last`: null when nothing is, `gap` when something before it is missing. */
  readonly take: (item: Item, last: number) => Numbered<Item> | null | 'gap';
  /** Nothing follows this item. */
  readonly isLast: (item: Item) => boolean;
  /** Asked when the stream was completed without its last item: is there nothing behind `last`? */
  readonly isOver: (last: number) => Promise<boolean>;
}

/**
 * Each item once and in order, until the last one. Ends without the last one only when `signal` aborts. Throws ApiError
 * when the API refuses for good, and ConnectionError when nothing new has come for `giveUpAfterMs`.
 */
export async function* resume<Item>(options: ResumeOptions<Item>): AsyncGenerator<Item, void, undefined> {
  const { signal = new AbortController().signal, giveUpAfterMs = GIVE_UP_AFTER_MS } = options;
  let last = options.after ?? 0;
  let troubleSince: number | null = null;
  let failures = 0;
  while (!signal.aborted) {
    const openedAt = performance.now();
    let cut: Error = new ConnectionError('The server ended the stream before its end.');
    try {
      for await (const item of options.open(last, signal)) {
        const taken = options.take(item, last);
        if (taken === null) continue;
        if (taken === 'gap') {
          cut = new ConnectionError('The server left something out.');
          break;
        }
        last = taken.number;
        troubleSince = null;
        failures = 0;
        yield taken.item;
        if (options.isLast(item)) return;
      }
      if (!signal.aborted && (await options.isOver(last))) return;
    } catch (error) {
      if (error instanceof ApiError && !error.retryable) throw error;
      if (!(error instanceof Error)) throw error;
      cut = error;
    }
    if (signal.aborted) return;
    options.onCut?.(cut);
    const now = performance.now();
    if (troubleSince === null || now - openedAt > HEALTHY_AFTER_MS) troubleSince = now;
    if (now - troubleSince > giveUpAfterMs) {
      const seconds = Math.round(giveUpAfterMs / 1000);
      throw new ConnectionError(`Nothing came for ${seconds} s: ${cut.message}`, { cause: cut });
    }
    await pause(FIRST_PAUSE_MS * 2 ** Math.min(failures++, 10), signal);
  }
}

/** Half of it is random, so that many readers do not come back at the same moment. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const bounded = Math.min(milliseconds, MAX_PAUSE_MS) * (0.5 + Math.random() / 2);
  await new Promise<void>((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      done();
    };
    const timer = setTimeout(end, bounded);
    signal.addEventListener('abort', end, { once: true });
  });
}
