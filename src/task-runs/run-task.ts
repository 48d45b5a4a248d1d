/** Runs one attempt at a task to its end. */
import { SupersededError } from '../errors.ts';
import { WorkspaceLostError } from '../runtimes/workspace-lost.ts';
import { failpoint } from '../std/failpoint.ts';
import { runDeploy } from './run-deploy.ts';
import { runTest } from './run-test.ts';
import { deployPayload, testPayload } from './task-payload.ts';
import { type RunTaskDeps, type TaskEnd, TaskFailedError, type TaskToRun } from './task-run.ts';

const RUNS = { test: { payload: testPayload, run: runTest }, deploy: { payload: deployPayload, run: runDeploy } };

/**
 * Rejects with what `signal` aborts with, and with SupersededError; whatever else goes wrong is an end. What an earlier
 * attempt has left in this place is ended before. When this resolves, nothing of the task is alive, and its workspace is
 * gone; when it rejects, both are the caller's.
 */
export async function runTask(deps: RunTaskDeps, task: TaskToRun, signal: AbortSignal): Promise<TaskEnd> {
  const { payload, run } = RUNS[task.type];
  const checked = payload.safeParse(task.payload);
  if (!checked.success) {
    const issues = checked.error.issues.map(({ path, message }) => `${['payload', ...path].join('.')}: ${message}`);
    return new TaskFailedError('INVALID_PAYLOAD', issues.slice(0, 10).join('; ')).end;
  }
  await failpoint('run.begin');
  await leaveNothing(deps, task);
  const end = await run(deps, task, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    if (error instanceof SupersededError) throw error;
    return explain(deps, error);
  });
  signal.throwIfAborted();
  await leaveNothing(deps, task);
  await failpoint('run.closed');
  return end;
}

/** Ends what is alive of the task in this place, and removes its workspace. Safe to repeat. */
export async function leaveNothing({ runtime }: Pick<RunTaskDeps, 'runtime'>, task: TaskToRun): Promise<void> {
  if (!runtime.closeEnds) await runtime.sweep(task.id, task.attemptNo);
  await runtime.close(task.id, { keepHome: false, attemptNo: task.attemptNo });
}

function explain({ logger }: RunTaskDeps, error: unknown): TaskEnd {
  if (error instanceof TaskFailedError) return error.end;
  if (error instanceof WorkspaceLostError) {
    return new TaskFailedError('SANDBOX_FAILED', error.message, { retryable: true }).end;
  }
  logger.error({ error }, 'a task failed for no known reason');
  return new TaskFailedError('INTERNAL', 'Slipway failed unexpectedly.', { retryable: true }).end;
}
