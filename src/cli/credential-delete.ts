import { DeleteCredentialDocument } from '../client/generated.ts';
import { readScope, type ScopeFlags } from './credential-scope.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { withSession } from './session.ts';

export type CredentialDeleteFlags = ScopeFlags;

export function credentialDelete(io: Io, name: string, flags: CredentialDeleteFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const projectId = await readScope(session, flags);
    const { deleteCredential } = await session.client.request(DeleteCredentialDocument, { input: { projectId, name } });
    const { credential } = accepted(deleteCredential, 'DeleteCredentialPayload');
    if (session.output.json) session.output.value(credential);
    else session.output.line(`${credential.name} is deleted.`);
    return EXIT.done;
  });
}
