/** From repetitions to medians, and from medians to goals. */
import type { Case, Goal, Metric, Sample } from './figure.ts';
import { median, quantile } from './load.ts';
import type { CaseResult, GoalResult, Spread } from './result.ts';

/** A goal is missed by less than this for no reason that a busy machine would explain. */
export const TOLERANCE = 0.7;

export interface Repetition {
  readonly sample: Omit<Sample, 'proof'>;
  readonly clientUs: number | null;
  readonly postgresUs: number | null;
}

/** The cases in the order of a repetition: each is first, second, … equally often. */
export function rotate<T>(items: readonly T[], repetition: number): T[] {
  const first = items.length === 0 ? 0 : repetition % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

export function summarize({ name, role }: Pick<Case, 'name' | 'role'>, repetitions: readonly Repetition[]): CaseResult {
  const samples = repetitions.map(({ sample }) => sample);
  const timed = samples.filter(({ latenciesMs }) => latenciesMs.length > 0);
  const timeAt = (share: number) => spreadOf(timed.map(({ latenciesMs }) => quantile(latenciesMs, share)));
  const cpuOf = (key: 'clientUs' | 'postgresUs') =>
    spreadOf(repetitions.flatMap(({ [key]: us, sample }) => (us === null ? [] : [us / sample.operations])));
  const names = new Set(samples.flatMap(({ values }) => Object.keys(values ?? {})));
  return {
    name,
    role,
    rate: spreadOf(samples.map(({ operations, seconds }) => operations / seconds)) ?? fail(`${name} was not measured`),
    p50: timeAt(0.5),
    p99: timeAt(0.99),
    clientUs: cpuOf('clientUs'),
    postgresUs: cpuOf('postgresUs'),
    values: Object.fromEntries(
      [...names].map((key) => [key, spreadOf(samples.map(({ values }) => values?.[key] ?? Number.NaN)) as Spread]),
    ),
  };
}

function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Throws when what a goal compares was not measured. */
export function judge(goal: Goal, cases: readonly CaseResult[]): GoalResult {
  const against =
    goal.against === null ? 1 : medianOf(findCase(cases, goal.against), goal.againstMetric ?? goal.metric);
  const ratio = medianOf(findCase(cases, goal.of), goal.metric) / against;
  if (!Number.isFinite(ratio)) fail(`no ratio of ${describeGoal(goal)}`);
  const { reached } = goal;
  const score = scoreOf(ratio, goal);
  const less = goal.atMost === undefined ? { atLeast: reached ?? 0 } : { atMost: reached ?? 0 };
  return { goal, ratio, score, kept: reached === undefined ? score : Math.max(score, scoreOf(ratio, less)) };
}

function scoreOf(ratio: number, { atLeast, atMost }: Pick<Goal, 'atLeast' | 'atMost'>): number {
  const scores = [
    ...(atLeast === undefined ? [] : [ratio / atLeast]),
    ...(atMost === undefined ? [] : [atMost / ratio]),
  ];
  return scores.length === 0 ? fail('a goal without a bound') : Math.min(...scores);
}

function findCase(cases: readonly CaseResult[], name: string): CaseResult {
  return cases.find((candidate) => candidate.name === name) ?? fail(`there is no case ${name}`);
}

/** The median of what is asked for; throws when it was not measured. */
export function medianOf(of: CaseResult, metric: Metric): number {
  const { name, rate, p50, p99, clientUs, postgresUs, values } = of;
  const measured: Readonly<Record<string, Spread | null>> = { ...values, rate, p50, p99 };
  const parts = metric === 'cpu' ? [clientUs, postgresUs] : [measured[metric]];
  return parts.reduce((sum, part) => sum + (part?.median ?? fail(`${name} has no ${metric}`)), 0);
}

/** `rate of startBuild / pgbench, at least 8`. */
export function describeGoal({ metric, of, against, againstMetric, atLeast, atMost }: Goal): string {
  const other = againstMetric && againstMetric !== metric ? `${againstMetric} of ${against}` : against;
  const bounds = [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ];
  return `${metric} of ${of}${other === null ? '' : ` / ${other}`}, ${bounds.join(', ')}`;
}

function fail(message: string): never {
  throw new Error(message);
}
