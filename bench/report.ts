/** Tables in Markdown. */
import { describeGoal } from './judge.ts';
import type { CaseResult, FigureResult, Spread } from './result.ts';
import type { Verdict } from './verdict.ts';

/** What was measured where. */
export interface Machine {
  readonly node: string;
  readonly cpus: string;
  readonly memoryGib: number;
  readonly pgbench: string;
  /** 8 kB written and made durable, per second, one after the other. */
  readonly fsyncsPerSecond: number;
  readonly postgres: Readonly<Record<string, string>>;
  readonly peers: Readonly<Record<string, string>>;
}

export interface Report {
  readonly at: string;
  readonly isQuick: boolean;
  /** Of all figures, with Postgres. */
  readonly wholeSeconds: number;
  readonly machine: Machine;
  readonly figures: readonly (Verdict & { readonly name: string })[];
}

export function reportText({ at, isQuick, wholeSeconds, machine, figures }: Report): string {
  const { postgres, peers, node, cpus, memoryGib, pgbench, fsyncsPerSecond } = machine;
  const pairs = (of: Readonly<Record<string, string>>) => Object.entries(of).map((pair) => pair.join(' '));
  const lines = [
    `${at}${isQuick ? ', quick' : ''}, ${Math.round(wholeSeconds)} s. ${cpus}, ${memoryGib} GiB; Node ${node}; ${Math.round(fsyncsPerSecond)} fsyncs/s; ${pgbench}.`,
    `Postgres: ${pairs(postgres).join(', ')}. Peers: ${pairs(peers).join(', ')}.`,
  ];
  return [...lines, '', ...goalTable(figures), '', ...figures.flatMap(figureText)].join('\n');
}

function goalTable(figures: Report['figures']): string[] {
  const rows = figures.flatMap(({ name, result, failure }) =>
    result
      ? result.goals.map(
          ({ goal, ratio, score }) =>
            `| ${name} | ${describeGoal(goal)} | ${number(ratio)} | ${score >= 1 ? 'reached' : 'missed'} |`,
        )
      : [`| ${name} | | | ${failure?.split('\n')[0]} |`],
  );
  return ['| figure | goal | ratio | |', '| --- | --- | --- | --- |', ...rows];
}

export function figureText({ name, result, failure }: Report['figures'][number]): string[] {
  return [`### ${name}`, ...(result ? resultText(result) : []), ...(failure ? ['', `**${failure}**`] : []), ''];
}

function resultText({ title, seconds, repetitions, load, wholeSeconds, cases }: FigureResult): string[] {
  const values = [...new Set(cases.flatMap((one) => Object.keys(one.values)))];
  const heads = ['case', 'role', 'per second', 'p50 ms', 'p99 ms', 'client µs', 'Postgres µs', ...values];
  return [
    `${title}. ${repetitions} x ${seconds} s in turns, ${Math.round(wholeSeconds)} s in all; load ${load.map((value) => value.toFixed(1)).join(' to ')}.`,
    '',
    `| ${heads.join(' | ')} |`,
    `|${' --- |'.repeat(heads.length)}`,
    ...cases.map((one) => caseRow(one, values)),
  ];
}

function caseRow({ name, role, rate, p50, p99, clientUs, postgresUs, values }: CaseResult, names: string[]): string {
  const spreads = [rate, p50, p99, clientUs, postgresUs, ...names.map((key) => values[key] ?? null)];
  return `| ${[name, role, ...spreads.map(spread)].join(' | ')} |`;
}

function spread(of: Spread | null): string {
  return of === null ? '-' : `${number(of.median)} (${number(of.min)} - ${number(of.max)})`;
}

function number(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-US');
  return Number(value.toPrecision(3)).toString();
}
