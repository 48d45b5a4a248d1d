/** Told in one turn of the event loop. */
const AT_ONCE = 64;

/**
 * Tells many the same, some in each turn of the event loop, the first at once: what those have asked for and written is on its way
 * while the others are told, and nobody else waits for all of them.
 */
export function inTurns<T>(all: readonly T[], tell: (one: T) => void, from = 0): void {
  const end = Math.min(from + AT_ONCE, all.length);
  for (let index = from; index < end; index += 1) tell(all[index] as T);
  if (end < all.length) setImmediate(() => inTurns(all, tell, end));
}
