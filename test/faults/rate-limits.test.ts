/** One token's budget over several processes: nobody gets more than there is, and nobody waits for ever. On real SQL. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiToken } from '../../src/auth/api-token.ts';
import { RateLimitedError } from '../../src/errors.ts';
import { openRateBudgets } from '../../src/server/rate-budgets.ts';
import { PORTION_MS, RateLimits } from '../../src/server/rate-limits.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const PROCESSES = 3;
const CAPACITY = 1_000;
/** Little enough that a process which kept its portion for ever would be noticed. */
const PER_SECOND = 5;
const EPOCH = Date.UTC(2026, 0, 1);
const RUNS = 60;

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

interface Spent {
  readonly at: number;
  readonly cost: number;
}

/** Three processes with one clock, which only `wait` moves. */
async function openProcesses() {
  const rights = { scopes: ['admin'], projectIds: null, expiresAt: null } as const;
  const { id: tokenId } = await createApiToken(database.db, { name: 'budget', createdBy: 'test', ...rights });
  const clock = { ms: 1 };
  const budget = { capacity: CAPACITY, pointsPerSecond: PER_SECOND };
  const processes = Array.from({ length: PROCESSES }, () => {
    const budgets = openRateBudgets(database.db, budget, () => new Date(EPOCH + clock.ms));
    const logger = createLogger('silent');
    return new RateLimits({ budgets, logger, now: () => clock.ms, answerWithinMs: 20_000 });
  });
  const spent: Spent[] = [];
  return {
    spent,
    clock,
    /** Seconds to wait; 0 when it was admitted. */
    async spend(index: number, cost: number): Promise<number> {
      try {
        const limit = await processes[index % PROCESSES]?.spend(tokenId, cost);
        expect(limit).toMatchObject({ limit: CAPACITY, cost });
        spent.push({ at: clock.ms, cost });
        return 0;
      } catch (error) {
        if (!(error instanceof RateLimitedError)) throw error;
        return error.retryAfter;
      }
    },
    /** With what the timers of the processes do meanwhile. */
    async wait(ms: number): Promise<void> {
      const end = clock.ms + ms;
      for (let tick = clock.ms - (clock.ms % PORTION_MS) + PORTION_MS; tick <= end; tick += PORTION_MS) {
        clock.ms = tick;
        for (const process of processes) await process.sweep();
      }
      clock.ms = end;
    },
  };
}

const cost = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 30 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: CAPACITY }) },
);
const request = fc.record({ process: fc.nat(PROCESSES - 1), cost });
const step = fc.record({
  waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 100_000 })),
  /** At the same moment. */
  requests: fc.array(request, { minLength: 1, maxLength: 30 }),
});

test('in no time is more spent than a full budget and what was refilled', { timeout: 120_000 }, async () => {
  let admitted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const { spent, spend, wait } = await openProcesses();
      for (const { waitMs, requests } of steps) {
        await wait(waitMs);
        await Promise.all(requests.map((asked) => spend(asked.process, asked.cost)));
      }
      admitted += spent.length;
      let total = 0;
      for (const { at, cost: points } of spent) {
        total += points;
        expect(total).toBeLessThanOrEqual(CAPACITY + (at / 1_000) * PER_SECOND + 1e-6);
      }
      for (const [first, { at: from }] of spent.entries()) {
        let inWindow = 0;
        for (const { at, cost: points } of spent.slice(first)) {
          inWindow += points;
          const refilled = ((at - from + 2 * PORTION_MS) / 1_000) * PER_SECOND;
          expect(inWindow).toBeLessThanOrEqual(CAPACITY + refilled + 1e-6);
        }
      }
    }),
    { numRuns: RUNS },
  );
  console.log(`${RUNS} runs, ${admitted} spendings by ${PROCESSES} processes`);
});

test('whoever waits as long as it was told is admitted', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 20 }), request, async (before, last) => {
      const { spend, wait } = await openProcesses();
      for (const asked of before) await spend(asked.process, asked.cost);
      const seconds = await spend(last.process, last.cost);
      if (seconds === 0) return;
      await wait(seconds * 1_000 + 2 * PORTION_MS);
      expect(await spend(last.process, last.cost)).toBe(0);
    }),
    { numRuns: RUNS },
  );
});

test('whoever asks for no more than is refilled is never refused', { timeout: 120_000 }, async () => {
  const calm = fc.record({ process: fc.nat(PROCESSES - 1), waitMs: fc.integer({ min: 200, max: 80_000 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(calm, { minLength: 1, maxLength: 30 }), async (steps) => {
      const { spend, wait } = await openProcesses();
      for (const { process, waitMs } of steps) {
        await wait(waitMs);
        expect(await spend(process, Math.floor((waitMs / 1_000) * PER_SECOND))).toBe(0);
      }
    }),
    { numRuns: RUNS },
  );
});
