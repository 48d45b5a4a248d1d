/** The same figures as Postgres gives, in plain JavaScript. */
import type { BuildStats } from '../../src/stats/build-stats.ts';
import type { CountedBuild } from './random-builds.ts';

export function countInMemory(builds: readonly CountedBuild[]): BuildStats {
  const count = (status: CountedBuild['status']) => builds.filter((build) => build.status === status).length;
  const durations = builds.flatMap(({ status, startedAt, finishedAt }) =>
    (status === 'COMPLETED' || status === 'FAILED') && startedAt && finishedAt ? [+finishedAt - +startedAt] : [],
  );
  const waits = builds.flatMap(({ startedAt, createdAt, runAfter }) =>
    startedAt ? [Math.max(0, +startedAt - Math.max(+createdAt, +(runAfter ?? createdAt)))] : [],
  );
  const costs = builds.flatMap(({ costUsd }) => (costUsd === null ? [] : [costUsd]));
  const decided = count('COMPLETED') + count('FAILED');
  return {
    total: builds.length,
    completed: count('COMPLETED'),
    failed: count('FAILED'),
    cancelled: count('CANCELLED'),
    pending: count('PENDING'),
    running: count('RUNNING'),
    successRate: decided === 0 ? null : count('COMPLETED') / decided,
    averageDurationMs: average(durations),
    p50DurationMs: percentile(durations, 0.5),
    p95DurationMs: percentile(durations, 0.95),
    averageWaitMs: average(waits),
    totalCostUsd: costs.length === 0 ? null : sum(costs),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function average(numbers: readonly number[]): number | null {
  return numbers.length === 0 ? null : sum(numbers) / numbers.length;
}

/** Between two values it is interpolated, as `percentile_cont` does. */
function percentile(numbers: readonly number[], fraction: number): number | null {
  const sorted = numbers.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  return low === undefined || high === undefined ? null : low + (high - low) * (position - Math.floor(position));
}

/** Equal, but for the last bits of a sum that was added up in another order. */
export function closeTo(expected: BuildStats): Record<keyof BuildStats, unknown> {
  const entries = Object.entries(expected).map(([name, value]) => [name, near(value)]);
  return Object.fromEntries(entries) as Record<keyof BuildStats, unknown>;
}

function near(value: unknown): unknown {
  if (typeof value !== 'number') return value;
  return { asymmetricMatch: (found: unknown) => typeof found === 'number' && Math.abs(found - value) < 1e-3 };
}
