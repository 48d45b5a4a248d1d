/** The shared part of agents that speak lines on stdout: run, follow, re-attach, stop. */
import type { DetachedCommand, OutputBatch, OutputLine, SpoolOffset } from '../runtimes/runtime.ts';
import type {
  AgentBatch,
  AgentEvent,
  AgentOutcome,
  AgentRun,
  AgentTask,
  LogLine,
  RunEnd,
  StopReason,
} from './agent.ts';

/** Understands the protocol of one agent. Made anew for each run; it is given every line of stdout in order, once. */
export interface LineReader {
  /** Never throws, whatever the line. */
  read(line: string): readonly AgentEvent[];
  /** The same for stderr, of an agent that tells there what it does not tell on stdout. */
  readStderr?(line: string): readonly AgentEvent[];
  /** Asked once, after the last line. */
  verdict(end: RunEnd): AgentOutcome;
}

/** SIGTERM to SIGKILL. Claude Code needs up to 1.6 s to end its tools. */
const STOP_GRACE_MS = 5000;
const MAX_STDERR_TAIL = 8 * 1024;
const START: SpoolOffset = { stdout: 0, stderr: 0 };

/** Re-attaches to the run that an earlier attempt left in the workspace, or starts `command()`. */
export async function openLineRun(options: {
  task: AgentTask;
  reader: LineReader;
  command: () => DetachedCommand;
}): Promise<AgentRun> {
  const { task, reader, command } = options;
  const left = await task.workspace.attach(task.redact);
  const { maxSeconds } = task;
  const run = left ?? (await task.workspace.start({ ...command(), ...(maxSeconds ? { maxSeconds } : {}) }));
  const published = left ? task.publishedUpTo : START;
  let stoppedBecause: StopReason | null = null;
  let stopping: Promise<void> | null = null;
  let stderrTail = '';
  let outcome: AgentOutcome | null = null;

  function take(line: OutputLine): readonly AgentEvent[] {
    if (line.stream === 'stdout') return line.truncated ? [tooLong] : reader.read(line.text);
    stderrTail += `${line.text.slice(-MAX_STDERR_TAIL)}\n`;
    if (stderrTail.length > 2 * MAX_STDERR_TAIL) stderrTail = stderrTail.slice(-MAX_STDERR_TAIL);
    return reader.readStderr?.(line.text) ?? [];
  }

  async function* batches(): AsyncGenerator<AgentBatch> {
    for await (const batch of run.read(START, task.detached)) {
      const fresh = freshPart(batch, published, take);
      if (fresh) yield fresh;
    }
    if (task.detached.aborted) return;
    const exit = (await run.exitStatus()) ?? { kind: 'lost' };
    outcome = reader.verdict({ exit, stoppedBecause, stderrTail: stderrTail.slice(-MAX_STDERR_TAIL) });
  }

  /** A program that ended before we asked it to was not stopped by us; what it left behind still is. */
  async function end(why: StopReason): Promise<void> {
    if ((await run.exitStatus()) === null) stoppedBecause ??= why;
    await run.stop({ graceMs: STOP_GRACE_MS });
  }

  return {
    reattached: left !== null,
    batches: batches(),
    outputBytes: () => run.outputBytes(),
    notices: () => run.notices(),
    tell: (word) => run.send(JSON.stringify(word)),
    stop(why) {
      stopping ??= end(why).finally(() => {
        stopping = null;
      });
      return stopping;
    },
    outcome() {
      if (!outcome) throw new Error('The outcome was asked for before the batches had ended.');
      return outcome;
    },
  };
}

const tooLong: AgentEvent = { type: 'warning', message: 'A line of the agent was too long and was ignored.' };

/**
 * Feeds every line to `take` and keeps what was not published yet; null when nothing of the batch is new. The offset
 * never falls behind what is published, or a third attempt would publish it again.
 */
function freshPart(
  batch: OutputBatch,
  published: SpoolOffset,
  take: (line: OutputLine) => readonly AgentEvent[],
): AgentBatch | null {
  const events: AgentEvent[] = [];
  const lines: LogLine[] = [];
  for (const line of batch.lines) {
    const found = take(line);
    if (line.end <= published[line.stream]) continue;
    events.push(...found);
    lines.push({ stream: line.stream, text: line.text });
  }
  const offset = {
    stdout: Math.max(batch.offset.stdout, published.stdout),
    stderr: Math.max(batch.offset.stderr, published.stderr),
  };
  if (offset.stdout === published.stdout && offset.stderr === published.stderr) return null;
  return { events, lines, offset };
}
