/**
 * Whoever was given less than there is, because somebody held a row at that moment, asks again: soon at first, then less
 * often. Nobody announces that a row is free.
 */
const FIRST_MS = 20;
const LAST_MS = 1_000;
/** More of them wait for their next look, like those that no hint reaches. */
const MAX_ASKERS = 10_000;

interface Asker {
  pauseMs: number;
  timer: NodeJS.Timeout | null;
}

export class AskAgain implements Disposable {
  readonly #askers = new Map<string, Asker>();
  #closed = false;

  /** To be called after each claim of `who`. `ask` is called once, after a pause, if it has passed over something. */
  claimed(who: string, hasPassedOver: boolean, ask: () => void): void {
    const known = this.#askers.get(who);
    if (!hasPassedOver) {
      if (known?.timer) clearTimeout(known.timer);
      this.#askers.delete(who);
      return;
    }
    if (this.#closed || known?.timer || (!known && this.#askers.size >= MAX_ASKERS)) return;
    const asker = known ?? { pauseMs: FIRST_MS, timer: null };
    this.#askers.set(who, asker);
    asker.timer = setTimeout(() => {
      asker.timer = null;
      ask();
    }, asker.pauseMs);
    asker.timer.unref();
    asker.pauseMs = Math.min(LAST_MS, asker.pauseMs * 2);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { timer } of this.#askers.values()) if (timer) clearTimeout(timer);
    this.#askers.clear();
  }
}
