/** A task of the type `test`: the project's test command at a commit, and what its report says. */
import { agentOptions } from '../config/agent-options.ts';
import { toNetworkAccess } from '../projects/network-input.ts';
import type { Project } from '../projects/project.ts';
import { redactAll } from '../runtimes/redact.ts';
import type { OutputLine } from '../runtimes/runtime.ts';
import { ALL_OF_THE_NETWORK } from '../std/network-access.ts';
import { readReportFiles } from './collect-report.ts';
import { fitResult } from './fit-result.ts';
import { openTaskCheckout, readProject, readTaskSecrets, type TaskCheckout } from './open-checkout.ts';
import { TapParser } from './parse-tap.ts';
import { type CommandEnd, describeExit, runCommand } from './run-command.ts';
import { type TestPayload, testPayload } from './task-payload.ts';
import { type RunTaskDeps, type TaskEnd, TaskFailedError, type TaskToRun } from './task-run.ts';
import { type ParsedReport, ReportError, type TestReport } from './test-report.ts';

const DEFAULT_TIMEOUT_SECONDS = 30 * 60;

/** Throws TaskFailedError, WorkspaceLostError, and what `signal` aborts with: then its processes are the caller's. */
export async function runTest(deps: RunTaskDeps, task: TaskToRun, signal: AbortSignal): Promise<TaskEnd> {
  const payload = testPayload.parse(task.payload);
  const project = await readProject(deps);
  const argv = commandOf(project, payload);
  const { git, redact } = await readTaskSecrets(deps);
  const network = project.settings.network ? toNetworkAccess(project.settings.network) : ALL_OF_THE_NETWORK;
  const timeoutSeconds = payload.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
  const opened = await openTaskCheckout(deps, task, { project, place: payload, git, network, timeoutSeconds, signal });
  const glob = payload.reportPath ?? project.settings.testReport ?? null;
  const printed = glob === null && payload.reportFormat === 'TAP' ? new PrintedTap() : null;
  const env = { ...agentOptions(deps.config).environment, CI: 'true', ...payload.environment };
  const command = {
    ...{ argv, network, timeoutSeconds, redact },
    env: { ...env, SLIPWAY_COMMIT: opened.commit },
    ...(printed ? { onLine: (line: OutputLine) => printed.take(line) } : {}),
  };
  const end = await runCommand(opened.workspace, command, signal);
  const parsed = printed ? printed.end() : glob === null ? null : await readFiles(opened, { glob, payload });
  signal.throwIfAborted();
  return judge(end, { parsed: redactAll(redact, parsed), commit: opened.commit, program: argv[0] });
}

function commandOf(project: Project, payload: TestPayload): readonly [string, ...string[]] {
  const [program, ...args] = payload.command ?? project.settings.testCommand ?? [];
  if (program !== undefined) return [program, ...args];
  throw new TaskFailedError('NOT_CONFIGURED', 'There is no test command: set testCommand of the project.');
}

function readFiles(opened: TaskCheckout, { glob, payload }: { glob: string; payload: TestPayload }) {
  return readReportFiles(opened, { glob, format: payload.reportFormat ?? 'AUTO' });
}

/** Tests have passed when their command says so, and their report, if there has to be one, does not say otherwise. */
function judge(
  end: CommandEnd,
  { parsed, commit, program }: { parsed: ParsedReport | null; commit: string; program: string },
): TaskEnd {
  const { exit, over, output, notices } = end;
  const report = parsed?.ok ? parsed.report : null;
  const exitCode = exit.kind === 'exited' ? exit.code : null;
  const said = { exitCode, commit, report, output: output.text };
  const result = fitResult(notices.length > 0 ? { ...said, notices } : said);
  if (over) return { ...over.end, result };
  if (exit.kind === 'lost') {
    return {
      status: 'FAILED',
      reason: 'INTERNAL',
      message: `${program} ${describeExit(exit)}.`,
      retryable: true,
      result,
    };
  }
  const failed = { status: 'FAILED', retryable: false, result } as const;
  if (report && report.failed > 0) return { ...failed, reason: 'TESTS_FAILED', message: describeTests(report) };
  if (exitCode !== 0) return { ...failed, reason: 'COMMAND_FAILED', message: `${program} ${describeExit(exit)}.` };
  if (parsed && !parsed.ok) return { ...failed, reason: 'REPORT_UNREADABLE', message: parsed.reason };
  return { status: 'COMPLETED', result };
}

function describeTests({ failed, total, failures: [first] }: TestReport): string {
  const name = first ? [first.suite, first.name].filter((text) => text !== '').join(' > ') : '';
  return `${failed} of ${total} tests failed${name === '' ? '' : `, first ${name}`}.`;
}

/** TAP on stdout. */
class PrintedTap {
  readonly #tap = new TapParser();
  #problem: string | null = null;

  take({ stream, text }: OutputLine): void {
    if (stream === 'stdout' && this.#problem === null) this.#try(() => this.#tap.line(text));
  }

  end(): ParsedReport {
    const report = this.#problem === null ? this.#try(() => this.#tap.end()) : null;
    return report ? { ok: true, report } : { ok: false, reason: this.#problem ?? '' };
  }

  #try<T>(work: () => T): T | null {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ReportError)) throw error;
      this.#problem = error.message;
      return null;
    }
  }
}
