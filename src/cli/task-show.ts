import { ShowTaskDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';

export function taskShow(io: Io, id: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    await showTask(session, id);
    return EXIT.done;
  });
}

/** Prints it. Returns its status. Throws CliError when there is none. */
export async function showTask({ client, output }: Session, id: string): Promise<string> {
  const { task } = await client.request(ShowTaskDocument, { id });
  if (!task) throw new CliError(`There is no task ${id}, or this token may not see it.`, { code: 'NOT_FOUND' });
  const { events: _events, ...facts } = task;
  if (output.json) {
    output.value(facts);
    return task.status;
  }
  const short = (value: unknown) => (value === null ? null : oneLine(JSON.stringify(value), 400));
  const lines: [string, string | null][] = [
    ['task', task.id],
    ['project', task.project.slug],
    ['type', task.type],
    ['status', task.status],
    ['attempt', String(task.attempt)],
    ['claimed by', task.claimedBy],
    ['created', formatTime(task.createdAt)],
    ['ready', task.status === 'PENDING' ? formatTime(task.readyAt) : null],
    ['waits', task.waitingReason?.message ?? null],
    ['finished', task.finishedAt && formatTime(task.finishedAt)],
    ['labels', task.labels.map(({ key, value }) => `${key}=${value}`).join(', ') || null],
    ['needs', task.runsOn.join(', ') || null],
    ['key', task.concurrencyKey],
    ['cancelled', task.cancelRequestedAt && (task.cancelReason ?? 'nobody said why')],
    ['progress', short(task.progress)],
    ['failure', task.failure && oneLine(task.failure.reason, 400)],
    ['payload', short(task.payload)],
    ['result', short(task.result)],
  ];
  for (const [name, value] of lines) if (value !== null) output.line(`${name.padEnd(11)} ${oneLine(value, 400)}`);
  return task.status;
}
