import { SetCredentialLimitDocument } from '../client/generated.ts';
import { readScope, type ScopeFlags } from './credential-scope.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import type { Limit } from './parse-option.ts';
import { accepted } from './refusal.ts';
import { withSession } from './session.ts';

export function credentialLimit(io: Io, name: string, limit: Limit, flags: ScopeFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const input = { projectId: await readScope(session, flags), name, maxRunning: limit.value };
    const { setCredentialLimit } = await session.client.request(SetCredentialLimitDocument, { input });
    const { credential } = accepted(setCredentialLimit, 'SetCredentialLimitPayload');
    if (session.output.json) session.output.value(credential);
    else session.output.line(`${name}: ${credential.maxRunning ?? 'any number of'} builds at the same time.`);
    return EXIT.done;
  });
}
