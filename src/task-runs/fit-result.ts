/** A result that a task can have: what a command has printed gives way first, then what is said of failures. */
import type { TestReport } from './test-report.ts';

/** Of JSON; a task takes 64 KiB. */
const MAX_RESULT_BYTES = 60 * 1024;
const SHORT_OUTPUT = 8 * 1024;

export type TaskResult = Readonly<Record<string, unknown>> & {
  readonly output: string;
  readonly report?: TestReport | null;
};

export function fitResult(result: TaskResult): TaskResult {
  let fitting = result;
  for (let tries = 0; tries < 64 && sizeOf(fitting) > MAX_RESULT_BYTES; tries += 1) fitting = smaller(fitting);
  return fitting;
}

function smaller(result: TaskResult): TaskResult {
  const { output, report } = result;
  if (output.length > SHORT_OUTPUT || !report?.failures.length) {
    return { ...result, output: output.slice(Math.ceil(output.length / 4)).toWellFormed() };
  }
  const failures = report.failures.slice(0, Math.floor((report.failures.length * 3) / 4));
  return { ...result, report: { ...report, failures, truncated: true } };
}

function sizeOf(result: TaskResult): number {
  return Buffer.byteLength(JSON.stringify(result));
}
