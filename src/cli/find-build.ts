/** A build as people name it: `build_…`, or `slug#number`. */
import { FindBuildByNumberDocument } from '../client/generated.ts';
import { CliError } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { Session } from './session.ts';

/** Its id. Throws CliError when there is no such build; a `build_…` is not looked up. */
export async function findBuildId(session: Session, reference: string): Promise<string> {
  if (reference.startsWith('build_')) return reference;
  const [, slug, number] = /^(.+)#(\d{1,9})$/.exec(reference) ?? [];
  if (!slug || !number) {
    throw new CliError(`${reference} is neither a build's id (build_…) nor PROJECT#NUMBER.`, { code: 'INVALID_INPUT' });
  }
  const project = await findProject(session, slug);
  const { builds } = await session.client.request(FindBuildByNumberDocument, {
    projectId: project.id,
    number: Number(number),
  });
  const [build] = builds.nodes;
  if (!build) throw noBuild(reference);
  return build.id;
}

export function noBuild(reference: string): CliError {
  return new CliError(`There is no build ${reference}, or this token may not see it.`, { code: 'NOT_FOUND' });
}
