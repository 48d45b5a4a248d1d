/** Which builds: the flags of the commands that are about many. */
import type { BuildFilter, BuildStatus } from '../client/generated.ts';
import { CliError } from './exit-code.ts';
import { findProject } from './find-project.ts';
import type { Pair } from './parse-option.ts';
import type { ClientFlags, Session } from './session.ts';

export interface BuildFilterFlags extends ClientFlags {
  readonly project?: string;
  readonly status?: readonly BuildStatus[];
  readonly provider?: string;
  readonly branch?: string;
  readonly label?: readonly Pair[];
  /** Milliseconds. */
  readonly olderThan?: number;
}

export async function filterOf(session: Session, flags: BuildFilterFlags): Promise<BuildFilter> {
  const { project, status, provider, branch, label, olderThan } = flags;
  return {
    ...(project ? { projectId: (await findProject(session, project)).id } : {}),
    ...(status ? { status: [...status] } : {}),
    ...(provider ? { provider: [provider] } : {}),
    ...(branch ? { branch } : {}),
    ...(label ? { label: label.map(({ name, value }) => ({ key: name, value })) } : {}),
    ...(olderThan === undefined ? {} : { createdAt: { to: new Date(Date.now() - olderThan).toISOString() } }),
  };
}

/** The same, for a command that changes what it finds. Throws CliError when there is no flag. */
export async function narrowFilterOf(session: Session, flags: BuildFilterFlags): Promise<BuildFilter> {
  const filter = await filterOf(session, flags);
  if (Object.keys(filter).length > 0) return filter;
  throw new CliError('Say which builds: --project, --status, --provider, --branch, --label or --older-than.', {
    code: 'NO_FILTER',
    hints: ['--dry-run shows which ones that would be.'],
  });
}
