import { type BuildRowFragment, type BuildStatus, ListBuildsDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatDuration, formatTable, formatTime } from './format.ts';
import type { Io } from './io.ts';
import type { Pair } from './parse-option.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';

export interface BuildListFlags extends ClientFlags {
  readonly project?: string;
  readonly status?: readonly BuildStatus[];
  readonly provider?: string;
  readonly branch?: string;
  readonly label?: readonly Pair[];
  readonly limit: number;
}

export function buildList(io: Io, flags: BuildListFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const filter = await filterOf(session, flags);
    const { builds } = await client.request(ListBuildsDocument, { first: flags.limit, filter });
    if (output.json) output.value(builds.nodes);
    else if (builds.nodes.length > 0) output.line(formatTable([HEAD, ...builds.nodes.map(toRow)]));
    else output.note('There are no such builds.');
    return EXIT.done;
  });
}

async function filterOf(session: Session, { project, status, provider, branch, label }: BuildListFlags) {
  return {
    ...(project ? { projectId: (await findProject(session, project)).id } : {}),
    ...(status ? { status: [...status] } : {}),
    ...(provider ? { provider: [provider] } : {}),
    ...(branch ? { branch } : {}),
    ...(label ? { label: label.map(({ name, value }) => ({ key: name, value })) } : {}),
  };
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
