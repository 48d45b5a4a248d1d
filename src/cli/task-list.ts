import { ListTasksDocument, type TaskRowFragment, type TaskStatus } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import type { Pair } from './parse-option.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface TaskListFlags extends ClientFlags {
  readonly project?: string;
  readonly type?: readonly string[];
  readonly status?: readonly TaskStatus[];
  readonly label?: readonly Pair[];
  readonly limit: number;
}

const HEAD = ['TASK', 'PROJECT', 'TYPE', 'STATUS', 'ATTEMPT', 'CREATED', 'BY'];

export function taskList(io: Io, flags: TaskListFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const { project, type, status, label } = flags;
    const filter = {
      ...(project ? { projectId: (await findProject(session, project)).id } : {}),
      ...(type ? { type: [...type] } : {}),
      ...(status ? { status: [...status] } : {}),
      ...(label ? { label: label.map(({ name, value }) => ({ key: name, value })) } : {}),
    };
    const { tasks } = await client.request(ListTasksDocument, { first: flags.limit, filter });
    if (output.json) output.value(tasks.nodes);
    else if (tasks.nodes.length > 0) output.table([HEAD, ...tasks.nodes.map(toRow)]);
    else output.note('There are no such tasks.');
    return EXIT.done;
  });
}

function toRow(task: TaskRowFragment): string[] {
  const { id, project, type, status, attempt, createdAt, claimedBy } = task;
  const by = claimedBy === null ? '-' : oneLine(claimedBy, 40);
  return [id, oneLine(project.slug), oneLine(type), status, String(attempt), formatTime(createdAt), by];
}
