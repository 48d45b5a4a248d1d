/** Tasks that workers beside the database run: how tests start them, and what these leave on this machine. */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Project } from '../../src/projects/project.ts';
import { enqueueTask } from '../../src/tasks/enqueue-task.ts';
import { readTaskDocuments } from '../../src/tasks/list-tasks.ts';
import { findTask, isTaskFinished, type Task } from '../../src/tasks/task.ts';
import type { EnqueueTaskInput } from '../../src/tasks/task-input.ts';
import type { TestStack } from './orchestrator.ts';
import { waitFor } from './wait-for.ts';

/** Its id. */
export async function enqueueRun(
  { orchestrator }: TestStack,
  project: Pick<Project, 'id'>,
  task: EnqueueTaskInput,
): Promise<string> {
  return (await enqueueTask(orchestrator, { projectId: project.id, task }, 'test')).task.id;
}

/** The task with its result once it is finished. */
export async function finishedTask(
  { orchestrator: { db } }: TestStack,
  id: string,
  deadlineMs = 20_000,
): Promise<Task & { readonly result: Readonly<Record<string, unknown>> }> {
  const ended = async () => {
    const found = await findTask(db, id);
    return found && isTaskFinished(found.status) ? found : null;
  };
  const task = await waitFor(ended, { deadlineMs, what: 'the end of the task' });
  const [documents] = await readTaskDocuments(db, [id]);
  return Object.assign(task, { result: documents?.result as Record<string, unknown> });
}

export function workspaceOf({ dataFolder }: Pick<TestStack, 'dataFolder'>, id: string): string {
  return join(dataFolder, 'builds', id);
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A command that does not end, with a child in a session of its own, whose process id it writes beside the checkout. */
export const HANGS = ['sh', '-c', 'setsid sleep 300 & echo $! >../pid.tmp; mv ../pid.tmp ../pid; sleep 300'];

/** That of `HANGS`, once it runs. */
export async function pidOf(stack: Pick<TestStack, 'dataFolder'>, id: string): Promise<number> {
  const path = join(workspaceOf(stack, id), 'pid');
  return Number(await waitFor(() => readFile(path, 'utf8').catch(() => null), { what: 'the command' }));
}

/** One that has ended and that nobody has asked about is not. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat !== null && !/\) Z /.test(stat);
}
