/** Load in a closed loop, and what is made of times. */

export interface Load {
  readonly operations: number;
  readonly seconds: number;
  readonly latenciesMs: readonly number[];
}

/** Calls `work` for so many seconds, `outstanding` at a time; each is followed by the next as soon as it has ended. Rejects when one does. */
export async function closedLoop(
  { seconds, outstanding }: { readonly seconds: number; readonly outstanding: number },
  work: (index: number) => Promise<unknown>,
): Promise<Load> {
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + seconds * 1_000;
  let count = 0;
  async function one(): Promise<void> {
    while (performance.now() < until) {
      const began = performance.now();
      const index = count;
      count += 1;
      await work(index);
      latenciesMs.push(performance.now() - began);
    }
  }
  await Promise.all(Array.from({ length: outstanding }, one));
  return { operations: latenciesMs.length, seconds: (performance.now() - startedAt) / 1_000, latenciesMs };
}

/** Of numbers in any order; NaN of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

/** The mean of the two in the middle when there are two. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
