/** `task-type set`, `list` and `delete`. */
import { DeleteTaskTypeDocument, ListTaskTypesDocument, SetTaskTypeDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { Io } from './io.ts';
import { readAll } from './read-all.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';
import { parseJson } from './task-enqueue.ts';

const MAX_SCHEMA = 64 * 1024;

export interface TaskTypeFlags extends ClientFlags {
  readonly project?: string;
}

export interface TaskTypeSetFlags extends TaskTypeFlags {
  readonly schema: string;
}

export function taskTypeSet(io: Io, name: string, flags: TaskTypeSetFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const limit = { what: 'schema', max: MAX_SCHEMA, from: 'stdin' };
    const text = flags.schema === '-' ? await readAll(io.stdin, limit) : flags.schema;
    const schema = parseJson(text, 'schema');
    const input = { name, schema, projectId: await ownerOf(session, flags) };
    const { taskType } = accepted(
      (await session.client.request(SetTaskTypeDocument, { input })).setTaskType,
      'SetTaskTypePayload',
    );
    if (session.output.json) session.output.value(taskType);
    else session.output.line(`Tasks of type ${name} can be enqueued.`);
    return EXIT.done;
  });
}

export function taskTypeList(io: Io, flags: TaskTypeFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const { taskTypes } = await client.request(ListTaskTypesDocument, { projectId: await ownerOf(session, flags) });
    const rows = taskTypes.map(({ name, project, schema }) => [
      name,
      project?.slug ?? '-',
      oneLine(JSON.stringify(schema), 80),
    ]);
    if (output.json) output.value(taskTypes);
    else output.table([['TYPE', 'PROJECT', 'SCHEMA'], ...rows]);
    return EXIT.done;
  });
}

export function taskTypeDelete(io: Io, name: string, flags: TaskTypeFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = { name, projectId: await ownerOf(session, flags) };
    const { taskType } = accepted(
      (await session.client.request(DeleteTaskTypeDocument, { input })).deleteTaskType,
      'DeleteTaskTypePayload',
    );
    if (session.output.json) session.output.value(taskType);
    else session.output.line(`The type ${name} is gone. What is queued of it stays.`);
    return EXIT.done;
  });
}

/** Null: all projects. */
async function ownerOf(session: Session, { project }: TaskTypeFlags): Promise<string | null> {
  return project === undefined ? null : (await findProject(session, project)).id;
}
