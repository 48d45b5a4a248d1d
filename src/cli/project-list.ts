import { ListProjectsDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface ProjectListFlags extends ClientFlags {
  readonly search?: string;
  readonly archived?: boolean;
  readonly limit: number;
}

const HEAD = ['PROJECT', 'NAME', 'STATUS', 'REPOSITORY', 'BRANCH', 'CREATED', 'ID'];

export function projectList(io: Io, flags: ProjectListFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const filter = { search: flags.search ?? null, archived: flags.archived ?? null };
    const { projects } = await client.request(ListProjectsDocument, { first: flags.limit, filter });
    const rows = projects.nodes.map((project) => [
      oneLine(project.slug),
      oneLine(project.name, 40),
      project.status,
      oneLine(project.repositoryUrl ?? 'managed', 60),
      oneLine(project.defaultBranch, 40),
      formatTime(project.createdAt),
      project.id,
    ]);
    if (output.json) output.value(projects.nodes);
    else if (rows.length > 0) output.table([HEAD, ...rows]);
    else output.note('There are no such projects. Make one: slipway project create NAME');
    return EXIT.done;
  });
}
