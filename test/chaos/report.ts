/** What a run says of itself, for people and as JSON. */
import type { Verdict } from '../faults/oracle.ts';
import { PROMISES, type PromiseName, type Violation } from '../faults/promises.ts';
import type { BotCounts } from './bots.ts';
import type { ChoreCounts } from './chores.ts';
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
  readonly chores: ChoreCounts;
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
  const { counts, bots, chores, quiet } = report;
  const { longestWait } = counts;
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
    `tasks: ${counts.tasks} (${list(counts.tasksByStatus)}); ${counts.taskAttempts} attempts, ${chores.claims} claims of claimants, ${chores.lostLeases} late words, ${chores.cancels} cancels; errors: ${list(chores.errors) || 'none'}`,
    `queue: ${counts.claims} claims checked; passed over ${longestWait.ofProjects} times at most a project, ${longestWait.ofItems} an item; ${bots.priorities} priorities changed`,
    `schedules: ${counts.fires} fires, ${counts.passedOver} times without a build, with a record`,
    `clients: ${bots.repeated} keys sent twice, ${bots.retries} retries, ${bots.cancels} cancels, ${bots.cancelsTooLate} too late, ${bots.messages} messages, ${bots.messagesTooLate} too late; errors: ${list(bots.errors) || 'none'}`,
    `watchers: ${list(report.watchers)}; ${counts.subscriptions} subscriptions; ${counts.deliveries} callbacks`,
    `faults: ${Object.values(report.faults).reduce((sum, count) => sum + count, 0)}`,
    ...Object.entries(report.faults).map(([name, count]) => `  ${String(count).padStart(4)} ${name}`),
    ...report.skipped.map((reason) => `  skipped: ${reason}`),
    ...report.problems.map((problem) => `  problem: ${problem}`),
    `memory (MiB, most): ${list(report.memory)}`,
    `after the faults: quiet after ${(quiet.tookMs / 1000).toFixed(1)} s${quiet.rest.length > 0 ? `, left: ${quiet.rest.join(', ')}` : ''}; longest wait of a build ${(counts.maxStuckMs / 1000).toFixed(1)} s`,
    ...(report.complete ? byPromise : ['not judged: the run was ended early']),
    ...shown.map((violation) => `  ${violation.promise}: ${subjectOf(violation)}${violation.detail}`),
    ...(report.violations.length > MAX_SHOWN ? [`  and ${report.violations.length - MAX_SHOWN} more`] : []),
  ].join('\n');
}

function subjectOf({ buildId, taskId }: Violation): string {
  return buildId ? `build ${buildId}: ` : taskId ? `task ${taskId}: ` : '';
}

function list(counts: Readonly<Record<string, number | undefined>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
