/** A checkout that is not on this machine: its tasks are done by a program beside it, which is given them as data. */

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_PATH, type GitContext, proxyVariables } from '../git/git.ts';
import type { Workspace } from '../runtimes/runtime.ts';
import { packData, unpackData } from '../std/pack-data.ts';
import { type CheckoutTask, type CheckoutTasks, openTasks } from './checkout-work.ts';

const PROGRAM = fileURLToPath(new URL(`./checkout-program${extname(import.meta.url)}`, import.meta.url));
/** A pack of 16 MiB and all that JSON makes of it. */
const MAX_ANSWER_BYTES = 64 * 1024 ** 2;
/** A task is several git commands. */
const MAX_TASK_MS = 30 * 60_000;

export interface CheckoutCall {
  readonly task: CheckoutTask;
  readonly request: unknown;
  readonly context: Pick<GitContext, 'remote' | 'timeoutMs' | 'allowLocal'> & {
    readonly workspace: Pick<Workspace, 'paths'>;
  };
}

export type CheckoutAnswer = { readonly answer: unknown } | { readonly thrown: string };

/** Rejects with what the task rejects with, and when the program cannot be run. */
export function openDistantCheckout(context: GitContext & { readonly workspace: Workspace }): CheckoutTasks {
  const { workspace, remote, timeoutMs, allowLocal = false, signal } = context;
  const { exec: programs } = workspace.programs;
  return openTasks(async (task, request) => {
    const call: CheckoutCall = {
      task,
      request,
      context: { remote, timeoutMs, allowLocal, workspace: { paths: workspace.paths } },
    };
    const { exitCode, stdout, stderr, aborted, timedOut, truncated } = await workspace.exec({
      argv: [programs.node, programs.find(PROGRAM)],
      cwd: workspace.paths.root,
      env: { PATH: DEFAULT_PATH, ...proxyVariables(context.environment), ...programs.environment },
      // The credentials of the remote are in it.
      stdin: packData(call),
      timeoutMs: MAX_TASK_MS,
      maxOutputBytes: MAX_ANSWER_BYTES,
      signal,
    });
    if (aborted) signal.throwIfAborted();
    if (exitCode !== 0) {
      const why = timedOut
        ? 'it took too long'
        : truncated
          ? 'it answered too much'
          : stderr.slice(-500) || 'it was ended';
      throw new Error(`${task} failed beside the checkout: ${why}`);
    }
    const answered = unpackData(stdout) as CheckoutAnswer;
    if ('thrown' in answered) throw new Error(answered.thrown);
    return answered.answer;
  });
}
