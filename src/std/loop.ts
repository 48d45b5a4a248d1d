/** Work that is done again and again, one round at a time: on a timer, and at once when woken. */
export interface Loop {
  /** Starts a round now, or one more right after the one that runs. */
  readonly wake: () => void;
  /** Resolves when the last round is over; no other one starts, and that one is told. */
  stop(): Promise<void>;
}

export function startLoop(options: {
  readonly everyMs: number;
  /** After a round that failed; `everyMs` if absent. */
  readonly retryMs?: number;
  /** `ends`: what can wait for another process is left to it from then on. */
  readonly work: (ends: AbortSignal) => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}): Loop {
  const stopping = new AbortController();
  const ends = stopping.signal;
  let again = false;
  let isRunning = false;
  let round: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let pauseMs = options.everyMs;

  const run = async () => {
    do {
      again = false;
      try {
        await options.work(ends);
        pauseMs = options.everyMs;
      } catch (error) {
        pauseMs = options.retryMs ?? options.everyMs;
        options.onError(error);
      }
    } while (again && !ends.aborted);
    isRunning = false;
    if (!ends.aborted) timer = setTimeout(wake, pauseMs);
  };

  function wake(): void {
    if (ends.aborted) return;
    if (isRunning) {
      again = true;
      return;
    }
    clearTimeout(timer);
    // Said before: the work may wake its own loop at once.
    isRunning = true;
    round = run();
  }

  timer = setTimeout(wake, options.everyMs);
  return {
    wake,
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await round;
    },
  };
}
