import { type BuildRowFragment, ListBuildsDocument } from '../client/generated.ts';
import { type BuildFilterFlags, filterOf } from './build-filter.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatDuration, formatTime } from './format.ts';
import type { Io } from './io.ts';
import { withSession } from './session.ts';

export interface BuildListFlags extends BuildFilterFlags {
  readonly limit: number;
}

export function buildList(io: Io, flags: BuildListFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const filter = await filterOf(session, flags);
    const { builds } = await client.request(ListBuildsDocument, { first: flags.limit, filter });
    if (output.json) output.value(builds.nodes);
    else if (builds.nodes.length > 0) output.table([HEAD, ...builds.nodes.map(toRow)]);
    else output.note('There are no such builds.');
    return EXIT.done;
  });
}

const HEAD = ['BUILD', 'STATUS', 'PHASE', 'AGENT', 'BRANCH', 'CREATED', 'TOOK', 'COMMIT', 'ID'];

function toRow(build: BuildRowFragment): string[] {
  return [
    `${oneLine(build.project.slug)}#${build.number}`,
    build.status,
    build.phase,
    oneLine(build.spec.provider),
    oneLine(build.spec.branch, 40),
    formatTime(build.createdAt),
    build.durationMs === null ? '-' : formatDuration(build.durationMs),
    build.result?.commitSha?.slice(0, 10) ?? '-',
    build.id,
  ];
}
