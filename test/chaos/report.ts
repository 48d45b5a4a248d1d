/** What a run says of itself, for people and as JSON. */
import { PROMISES, type PromiseName, type Verdict, type Violation } from '../faults/oracle.ts';
import type { BotCounts } from './bots.ts';
import type { Quiet } from './quiet.ts';

export interface Report {
  readonly seed: number;
  readonly minutes: number;
  /** Of the whole run, with its start and end. */
  readonly tookSeconds: number;
  /** False when somebody ended it early: then nothing is judged. */
  readonly complete: boolean;
  readonly counts: Verdict['counts'];
  readonly agents: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By reason, with one of the messages. */
  readonly failures: Readonly<Record<string, { readonly count: number; readonly example: string }>>;
  readonly bots: BotCounts;
  readonly watchers: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** What this machine cannot do. */
  readonly skipped: readonly string[];
  /** Faults that could not be played as they should. */
  readonly problems: readonly string[];
  readonly quiet: Quiet;
  /** Process -> the most memory it had, in MiB. */
  readonly memory: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
}

const MAX_SHOWN = 20;

export function describeReport(report: Report): string {
  const { counts, bots, quiet } = report;
  const byPromise = (Object.keys(PROMISES) as PromiseName[]).map((promise) => {
    const found = report.violations.filter((violation) => violation.promise === promise);
    return `  ${found.length === 0 ? 'kept  ' : 'BROKEN'} ${promise.padEnd(10)} ${PROMISES[promise]}${found.length > 0 ? `: ${found.length}` : ''}`;
  });
  const shown = report.violations.slice(0, MAX_SHOWN);
  return [
    `chaos: seed ${report.seed}, ${report.minutes} min of faults, ${report.tookSeconds} s in all`,
    `builds: ${counts.builds} (${list(counts.byStatus)}); ${counts.attempts} attempts, ${counts.events} events, ${counts.commits} commits`,
    ...Object.entries(report.agents).map(([agent, ends]) => `  ${agent.padEnd(10)} ${list(ends)}`),
    `failures: ${Object.keys(report.failures).length === 0 ? 'none' : ''}`,
    ...Object.entries(report.failures).map(
      ([reason, { count, example }]) => `  ${String(count).padStart(4)} ${reason}: ${example}`,
    ),
    `clients: ${bots.repeated} keys sent twice, ${bots.retries} retries, ${bots.cancels} cancels, ${bots.cancelsTooLate} too late, ${bots.messages} messages, ${bots.messagesTooLate} too late; errors: ${list(bots.errors) || 'none'}`,
    `watchers: ${list(report.watchers)}; ${counts.subscriptions} subscriptions; ${counts.deliveries} callbacks`,
    `faults: ${Object.values(report.faults).reduce((sum, count) => sum + count, 0)}`,
    ...Object.entries(report.faults).map(([name, count]) => `  ${String(count).padStart(4)} ${name}`),
    ...report.skipped.map((reason) => `  skipped: ${reason}`),
    ...report.problems.map((problem) => `  problem: ${problem}`),
    `memory (MiB, most): ${list(report.memory)}`,
    `after the faults: quiet after ${(quiet.tookMs / 1000).toFixed(1)} s${quiet.rest.length > 0 ? `, left: ${quiet.rest.join(', ')}` : ''}; longest wait of a build ${(counts.maxStuckMs / 1000).toFixed(1)} s`,
    ...(report.complete ? byPromise : ['not judged: the run was ended early']),
    ...shown.map(({ promise, buildId, detail }) => `  ${promise}: ${buildId ? `build ${buildId}: ` : ''}${detail}`),
    ...(report.violations.length > MAX_SHOWN ? [`  and ${report.violations.length - MAX_SHOWN} more`] : []),
  ].join('\n');
}

function list(counts: Readonly<Record<string, number | undefined>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
