/** What was decided about a run, and the rules that hold for every agent. */
import type { Usage } from '../events/event.ts';
import type { ExitStatus } from '../runtimes/runtime.ts';
import type { AgentOutcome, AgentReason, RunEnd, StopReason } from './agent.ts';
import { cutBytes, firstLine } from './cut-text.ts';

export interface Verdict {
  readonly status: AgentOutcome['status'];
  readonly reason: AgentReason;
  /** Null on success. */
  readonly message: string | null;
}

/** What a reader knows of the run besides how it ended. */
interface RunFacts {
  readonly finalText: string;
  readonly sessionId: string | null;
  readonly usage: Usage | null;
  readonly denials: readonly string[];
}

/** How far a run had come when it ended. */
export interface Progress {
  /** The last turn has its result and no other one began: stopping such a run takes nothing from it. */
  readonly finished: boolean;
  /** The last time the provider refused the agent. */
  readonly lastRetry: { readonly reason: AgentReason; readonly message: string } | null;
}

/** What a shell says when a program cannot be executed, or is not there. */
const NOT_EXECUTED = [126, 127];

const MAX_FINAL_TEXT_BYTES = 64 * 1024;
const MAX_MESSAGE = 500;

const RETRYABLE: ReadonlySet<AgentReason> = new Set(['rate_limit', 'overloaded', 'server_error', 'network', 'crash']);

export function succeeded(reason: 'completed' | 'permission' = 'completed'): Verdict {
  return { status: 'succeeded', reason, message: null };
}

export function failed(reason: AgentReason, message: string): Verdict {
  return { status: 'failed', reason, message: firstLine(message, MAX_MESSAGE) };
}

export function cancelled(message: string): Verdict {
  return { status: 'cancelled', reason: 'cancelled', message };
}

export function outcomeOf(verdict: Verdict, facts: RunFacts): AgentOutcome {
  return {
    ...verdict,
    ...facts,
    retryable: verdict.status === 'failed' && RETRYABLE.has(verdict.reason),
    finalText: cutBytes(facts.finalText, MAX_FINAL_TEXT_BYTES),
  };
}

/** The verdict on a run that we ended; null when its own words decide. */
export function stopVerdict(why: StopReason | null, { finished, lastRetry }: Progress): Verdict | null {
  if (why === 'cancelled') return cancelled('The build was cancelled.');
  if (why === 'interrupted' && !finished) return cancelled('A message interrupted the agent.');
  if (why === 'fail_fast')
    return failed(lastRetry?.reason ?? 'unknown', lastRetry?.message ?? 'The agent was stopped.');
  if (why === 'max_turns') return failed('max_turns', 'The agent has taken more turns than it may.');
  if (why === 'budget') return failed('budget', 'The agent has used up its budget.');
  if (why === null || finished) return null;
  const hint = lastRetry ? ` The provider last refused it: ${lastRetry.message}` : '';
  switch (why) {
    case 'wall_limit':
      return failed('timeout', `The agent did not finish in time.${hint}`);
    case 'silence_limit':
      return failed('idle', `The agent said nothing for too long.${hint}`);
    case 'output_limit':
      return failed('output_limit', 'The agent printed more than a build may print.');
    case 'released':
      return failed('crash', 'The worker let go of the agent before it had finished.');
    case 'linger':
    case 'interrupted':
      return null;
  }
}

/** The verdict on a run that ended by itself without saying how. */
export function exitVerdict({ exit, stderrTail }: RunEnd, { lastRetry }: Progress): Verdict {
  if (lastRetry) return failed(lastRetry.reason, lastRetry.message);
  const lastWords = stderrTail.trim().split('\n').at(-1) ?? '';
  return failed('crash', `The agent ended without a result (${describe(exit)})${lastWords ? `: ${lastWords}` : '.'}`);
}

/** The verdict on a program that ended before it had begun: a flag, its folder, its input. It says why on stderr only. */
export function startVerdict(program: string, end: RunEnd): Verdict {
  const words = end.stderrTail.trim();
  if (end.exit.kind !== 'exited' || end.stoppedBecause !== null || end.exit.code > 128) {
    return exitVerdict(end, { finished: false, lastRetry: null });
  }
  if (NOT_EXECUTED.includes(end.exit.code)) return failed('unavailable', `${program} could not be run: ${words}`);
  return failed('config', `${program} did not start (exit code ${end.exit.code})${words ? `: ${words}` : '.'}`);
}

/** `exit code 143`, `signal SIGKILL`. */
function describe(exit: ExitStatus): string {
  switch (exit.kind) {
    case 'exited':
      return `exit code ${exit.code}`;
    case 'signalled':
      return `signal ${exit.signal}`;
    case 'lost':
      return 'it is gone and left no exit status';
  }
}
