/** Public ids in, UUIDs out. An id that is malformed, of another type, or not the viewer's is one that does not exist. */
import { seesProject, type Viewer } from '../src/auth/viewer.ts';
import type { BuildSummary } from '../src/builds/build.ts';
import { NotFoundError } from '../src/errors.ts';
import type { Project } from '../src/projects/project.ts';
import { fromPublicId } from '../src/std/public-id.ts';
import type { Task } from '../src/tasks/task.ts';
import type { Context } from './context.ts';

/** The UUID of a project that the viewer may use, whether it exists or not. Throws NotFoundError. */
export function requireProjectId(viewer: Viewer, id: string): string {
  const uuid = fromPublicId('project', id);
  if (uuid === null || !seesProject(viewer, uuid)) throw new NotFoundError('project', id);
  return uuid;
}

/** Throws NotFoundError. */
export async function requireProject(context: Context, id: string): Promise<Project> {
  const project = await findProjectById(context, id);
  if (!project) throw new NotFoundError('project', id);
  return project;
}

/** Throws NotFoundError. */
export async function requireBuild(context: Context, id: string): Promise<BuildSummary> {
  const build = await findBuildById(context, id);
  if (!build) throw new NotFoundError('build', id);
  return build;
}

/** For a build that is about to change: it is read anew afterwards. Throws NotFoundError. */
export async function requireBuildId(context: Context, id: string): Promise<string> {
  const build = await requireBuild(context, id);
  context.loaders.build.clear(build.id);
  return build.id;
}

/** For a question that is about to be answered: it and its build are read anew afterwards. Throws NotFoundError. */
export async function requireQuestionId({ loaders }: Context, id: string): Promise<string> {
  const uuid = fromPublicId('question', id);
  const question = uuid === null ? null : await loaders.question.load(uuid);
  if (!question) throw new NotFoundError('question', id);
  loaders.question.clear(question.id);
  loaders.build.clear(question.buildId);
  return question.id;
}

/** The UUID of a worker, whether it exists or not; it is read anew afterwards. Throws NotFoundError. */
export function requireWorkerId({ loaders }: Context, id: string): string {
  const uuid = fromPublicId('worker', id);
  if (uuid === null) throw new NotFoundError('worker', id);
  loaders.worker.clear(uuid);
  return uuid;
}

/** For a task that is about to change: it is read anew afterwards. Throws NotFoundError. */
export async function requireTask({ loaders }: Pick<Context, 'loaders'>, id: string): Promise<Task> {
  const task = await findTaskById({ loaders }, id);
  if (!task) throw new NotFoundError('task', id);
  loaders.task.clear(task.id);
  return task;
}

export async function findTaskById({ loaders }: Pick<Context, 'loaders'>, id: string): Promise<Task | null> {
  const uuid = fromPublicId('task', id);
  return uuid === null ? null : loaders.task.load(uuid);
}

export async function findProjectById(context: Context, id: string): Promise<Project | null> {
  const uuid = fromPublicId('project', id);
  return uuid === null ? null : context.loaders.project.load(uuid);
}

export async function findBuildById(context: Context, id: string): Promise<BuildSummary | null> {
  const uuid = fromPublicId('build', id);
  return uuid === null ? null : context.loaders.build.load(uuid);
}

/** The projects of a list: those that are asked for and that the viewer may see; null means all. */
export function visibleProjectIds(viewer: Viewer, asked: string | null | undefined): readonly string[] | null {
  if (asked === null || asked === undefined) return viewer.projectIds;
  const uuid = fromPublicId('project', asked);
  return uuid !== null && seesProject(viewer, uuid) ? [uuid] : [];
}
