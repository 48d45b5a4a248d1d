/** What was measured, as plain data: it goes from process to process, and into the JSON. */
import type { Goal, Role } from './figure.ts';

/** Median, least and most of the repetitions. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface CaseResult {
  readonly name: string;
  readonly role: Role;
  readonly rate: Spread;
  readonly p50: Spread | null;
  readonly p99: Spread | null;
  /** µs per operation: of the figure's processes, and of all of Postgres; null where /proc does not tell. */
  readonly clientUs: Spread | null;
  readonly postgresUs: Spread | null;
  readonly values: Readonly<Record<string, Spread>>;
}

export interface GoalResult {
  readonly goal: Goal;
  /** Of the medians; the median itself of an absolute goal. */
  readonly ratio: number;
  /** 1 and more: reached. */
  readonly score: number;
  /** 1 and more: what was reached before, where that is less than the goal. */
  readonly kept: number;
}

export interface FigureResult {
  readonly name: string;
  readonly title: string;
  readonly seconds: number;
  readonly repetitions: number;
  /** Of the last minute, before and after. */
  readonly load: readonly [number, number];
  /** With opening, warm-up and proofs. */
  readonly wholeSeconds: number;
  readonly cases: readonly CaseResult[];
  readonly goals: readonly GoalResult[];
}
