import {
  type CredentialRowFragment,
  ListCredentialsDocument,
  ListProjectCredentialsDocument,
} from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, type Session, withSession } from './session.ts';

export interface CredentialListFlags extends ClientFlags {
  readonly project?: string;
}

const HEAD = ['NAME', 'KIND', 'TARGET', 'SET', 'LAST USED', 'KEY'];

export function credentialList(io: Io, flags: CredentialListFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { output } = session;
    const credentials = await readCredentials(session, flags.project);
    const rows = credentials.map((one) => [
      one.name,
      one.kind,
      oneLine([one.target ?? '-', one.baseUrl].filter(Boolean).join(' at '), 60),
      formatTime(one.updatedAt),
      one.lastUsedAt ? formatTime(one.lastUsedAt) : 'never',
      one.keyId,
    ]);
    if (output.json) output.value(credentials);
    else output.table([HEAD, ...rows]);
    return EXIT.done;
  });
}

async function readCredentials(
  session: Session,
  reference: string | undefined,
): Promise<readonly CredentialRowFragment[]> {
  if (reference === undefined) return (await session.client.request(ListCredentialsDocument, {})).credentials;
  const { id } = await findProject(session, reference);
  const { project } = await session.client.request(ListProjectCredentialsDocument, { id });
  return project?.credentials ?? [];
}
