import { randomUUID } from 'node:crypto';
import type { CommandAnswer } from '../inside/command-once.ts';
import type { Command, CommandResult } from '../runtime.ts';
import { ExecError } from './exec-error.ts';
import type { CalledPod, PodCalls } from './pod-calls.ts';
import { CONTAINERS } from './pod-layout.ts';

/** How long an exec waits for the command before it is asked for anew. */
const EXEC_MS = 60_000;
/** Beyond the command's own time: connections may be away meanwhile. */
const SLACK_MS = 11 * 60_000;

const NOTHING: CommandResult = {
  exitCode: null,
  stdout: Buffer.alloc(0),
  stderr: '',
  timedOut: false,
  aborted: false,
  truncated: false,
};

/** See `Workspace.exec`. It runs once, in `git`, however often the connection breaks. */
export async function runInPod(
  { buildId, pod, calls }: { readonly buildId: string; readonly pod: CalledPod; readonly calls: PodCalls },
  { signal, ...command }: Command,
): Promise<CommandResult> {
  if (signal?.aborted) return { ...NOTHING, aborted: true };
  const id = randomUUID();
  const inGit = { container: CONTAINERS.git, deadlineMs: EXEC_MS };
  const until = performance.now() + command.timeoutMs + SLACK_MS;
  // Once is enough, also before it has begun: see `killCommand`.
  const kill = () => void calls.ask(pod, { ...inGit, operation: 'kill', data: { id } }).catch(() => {});
  signal?.addEventListener('abort', kill, { once: true });
  try {
    while (performance.now() < until) {
      const answer = await calls
        .ask<CommandAnswer>(pod, { ...inGit, operation: 'exec', data: { buildId, id, command } })
        .catch((error: unknown) => {
          if (error instanceof ExecError && error.kind === 'timeout') return { state: 'running' } as const;
          throw error;
        });
      if (answer.state === 'done') return answer.result;
      if (answer.state === 'failed') throw new Error(answer.message);
      if (answer.state === 'lost') return { ...NOTHING, aborted: signal?.aborted ?? false };
      await pod.check();
    }
    throw new Error('The command in the pod does not end.');
  } finally {
    signal?.removeEventListener('abort', kill);
  }
}
