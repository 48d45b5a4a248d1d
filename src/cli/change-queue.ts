/** The queue of all and of a project: pause, resume, limits. */
import {
  PauseProjectDocument,
  type ProjectQueueFieldsFragment,
  type QueueSettingsFieldsFragment,
  ResumeProjectDocument,
  SetKeyLimitDocument,
  UpdateProjectDocument,
  UpdateQueueDocument,
  type UpdateQueueInput,
} from '../client/generated.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { Io } from './io.ts';
import type { Output } from './output.ts';
import type { Limit } from './parse-option.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';

export function queuePause(io: Io, flags: ClientFlags): Promise<ExitCode> {
  return updateQueue(io, { paused: true }, flags);
}

export function queueResume(io: Io, flags: ClientFlags): Promise<ExitCode> {
  return updateQueue(io, { paused: false }, flags);
}

export function queueLimit(io: Io, { value }: Limit, flags: ClientFlags): Promise<ExitCode> {
  return updateQueue(io, { maxRunning: value }, flags);
}

function updateQueue(io: Io, input: UpdateQueueInput, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { updateQueue } = await client.request(UpdateQueueDocument, { input });
    return sayQueue(output, accepted(updateQueue, 'UpdateQueuePayload').queue);
  });
}

export function projectPause(io: Io, reference: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = { id: (await findProject(session, reference)).id };
    const { pauseProject } = await session.client.request(PauseProjectDocument, { input });
    return sayProject(session, accepted(pauseProject, 'PauseProjectPayload').project);
  });
}

export function projectResume(io: Io, reference: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = { id: (await findProject(session, reference)).id };
    const { resumeProject } = await session.client.request(ResumeProjectDocument, { input });
    return sayProject(session, accepted(resumeProject, 'ResumeProjectPayload').project);
  });
}

export interface ProjectLimitFlags extends ClientFlags {
  readonly running?: Limit;
  readonly perKey?: number;
  readonly key?: string;
  readonly weight?: number;
}

/** With a key: that key's limit. */
export function projectLimit(io: Io, reference: string, flags: ProjectLimitFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { key, running, perKey, weight } = flags;
    const { id } = await findProject(session, reference);
    if (key !== undefined) {
      if (!running || perKey !== undefined || weight !== undefined) {
        throw new CliError('A key has one limit: give --key together with --running, and nothing else.', {
          code: 'INVALID_INPUT',
        });
      }
      const input = { projectId: id, key, maxRunning: running.value };
      const { setKeyLimit } = await session.client.request(SetKeyLimitDocument, { input });
      return sayProject(session, accepted(setKeyLimit, 'SetKeyLimitPayload').project);
    }
    const queue = {
      ...(running ? { maxRunning: running.value } : {}),
      ...(perKey === undefined ? {} : { maxRunningPerKey: perKey }),
      ...(weight === undefined ? {} : { weight }),
    };
    if (Object.keys(queue).length === 0) {
      throw new CliError('Say what to change: --running, --per-key or --weight.', { code: 'INVALID_INPUT' });
    }
    const { updateProject } = await session.client.request(UpdateProjectDocument, {
      input: { id, settings: { queue } },
    });
    return sayProject(session, accepted(updateProject, 'UpdateProjectPayload').project);
  });
}

function sayQueue(output: Output, queue: QueueSettingsFieldsFragment): ExitCode {
  if (output.json) output.value(queue);
  else {
    output.line(queue.pausedAt === null ? 'Work starts.' : `Nothing starts: paused by ${queue.pausedBy}.`);
    output.line(`At the same time: ${queue.maxRunning ?? 'any number'}.`);
  }
  return EXIT.done;
}

function sayProject({ output }: Session, project: ProjectQueueFieldsFragment): ExitCode {
  if (output.json) output.value(project);
  else {
    const { maxRunning = null, maxRunningPerKey = 1, weight = 1 } = project.settings.queue ?? {};
    output.line(project.pausedAt === null ? `${project.slug} starts its work.` : `Nothing of ${project.slug} starts.`);
    output.line(`At the same time: ${maxRunning ?? 'any number'}, ${maxRunningPerKey} of a key. Weight: ${weight}.`);
    for (const { name, maxRunning: limit } of project.concurrencyKeys) output.line(`  ${name}: ${limit}`);
  }
  return EXIT.done;
}
