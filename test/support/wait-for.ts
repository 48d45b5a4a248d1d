import { setTimeout as delay } from 'node:timers/promises';

/** Asks `probe` every `everyMs` until it answers something truthy, and gives that; throws after `deadlineMs`. */
export async function waitFor<T>(
  probe: () => T | Promise<T>,
  {
    deadlineMs = 20_000,
    everyMs = 10,
    what = 'the condition',
  }: { deadlineMs?: number; everyMs?: number; what?: string } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`${what} did not come true within ${deadlineMs} ms.`);
    await delay(everyMs);
  }
}
