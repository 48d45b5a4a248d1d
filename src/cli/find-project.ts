/** A project as people name it: by slug or id. */
import { FindProjectDocument, type ProjectRowFragment } from '../client/generated.ts';
import { CliError } from './exit-code.ts';
import type { Session } from './session.ts';

/** Throws CliError when there is no such project. */
export async function findProject({ client }: Session, reference: string): Promise<ProjectRowFragment> {
  const wanted = reference.startsWith('project_') ? { id: reference } : { slug: reference };
  const { project } = await client.request(FindProjectDocument, wanted);
  if (project) return project;
  throw new CliError(`There is no project ${reference}, or this token may not see it.`, { code: 'NOT_FOUND' });
}
