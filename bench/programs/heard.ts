/** What listeners of a program have heard. */
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 5;

export interface HeardTerms {
  readonly expected: number;
  readonly withinMs: number;
}

/** How much the one that heard least has heard since the last call, when there is nothing more to wait for. */
export async function heardByAll(
  listeners: readonly Set<string>[],
  { expected, withinMs }: HeardTerms,
): Promise<number> {
  const until = performance.now() + withinMs;
  const fewest = () => Math.min(...listeners.map(({ size }) => size));
  while (fewest() < expected && performance.now() < until) await delay(LOOK_EVERY_MS);
  const found = fewest();
  for (const heard of listeners) heard.clear();
  return found;
}
