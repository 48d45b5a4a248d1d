/** SIGINT and SIGTERM as two facts: somebody wants the end, and somebody wants it at once. */
import type { Io } from './io.ts';

export interface StopSignals extends Disposable {
  /** Aborts at the first signal; its reason is that signal's name. */
  readonly first: AbortSignal;
  /** Aborts at one that comes later. */
  readonly second: AbortSignal;
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** Under npm one Ctrl-C arrives twice: from the terminal, and forwarded by npm. */
const SAME_SIGNAL_MS = 1_000;

/** While this is open the signals do not end the process by themselves. */
export function listenForStop({ signals }: Pick<Io, 'signals'>): StopSignals {
  const first = new AbortController();
  const second = new AbortController();
  let firstAt = 0;
  const listener = (name: NodeJS.Signals) => {
    if (!first.signal.aborted) {
      firstAt = performance.now();
      first.abort(name);
    } else if (performance.now() - firstAt > SAME_SIGNAL_MS) second.abort();
  };
  for (const name of SIGNALS) signals.on(name, listener);
  return {
    first: first.signal,
    second: second.signal,
    [Symbol.dispose]() {
      for (const name of SIGNALS) signals.off(name, listener);
    },
  };
}

/** Resolves when the signal has aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
