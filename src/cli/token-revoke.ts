import { RevokeTokenDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export function tokenRevoke(io: Io, id: string, flags: ClientFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { revokeApiToken } = await client.request(RevokeTokenDocument, { input: { id } });
    const { apiToken } = accepted(revokeApiToken, 'RevokeApiTokenPayload');
    if (output.json) output.value(apiToken);
    else output.line(`${apiToken.id} (${oneLine(apiToken.name)}) no longer works.`);
    return EXIT.done;
  });
}
