/** `task cancel` and `task requeue`. */
import { CancelTaskDocument, RequeueTaskDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface TaskCancelFlags extends ClientFlags {
  readonly reason?: string;
}

export function taskCancel(io: Io, id: string, flags: TaskCancelFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const answer = await client.request(CancelTaskDocument, { input: { id, reason: flags.reason ?? null } });
    const { task } = accepted(answer.cancelTask, 'CancelTaskPayload');
    if (output.json) output.value(task);
    else if (task.status === 'CANCELLED') output.line(`${id} is cancelled.`);
    else output.line(`${id} is being cancelled: it ends when its worker has let go of it.`);
    return EXIT.done;
  });
}

export function taskRequeue(io: Io, id: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const answer = await client.request(RequeueTaskDocument, { input: { id } });
    const { task } = accepted(answer.requeueTask, 'RequeueTaskPayload');
    if (output.json) output.value(task);
    else output.line(`${id} waits again.`);
    return EXIT.done;
  });
}
