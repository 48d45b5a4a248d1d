import { ListTokensDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface TokenListFlags extends ClientFlags {
  readonly includeRevoked?: boolean;
  readonly limit: number;
}

const HEAD = ['NAME', 'SCOPES', 'PROJECTS', 'CREATED', 'LAST USED', 'STATE', 'ID'];

export function tokenList(io: Io, flags: TokenListFlags): Promise<ExitCode> {
  return withSession(io, flags, async ({ client, output }) => {
    const { limit: first, includeRevoked = false } = flags;
    const { apiTokens } = await client.request(ListTokensDocument, { first, includeRevoked });
    const rows = apiTokens.nodes.map((token) => [
      oneLine(token.name, 40),
      token.scopes.join(','),
      token.projectIds === null ? 'all' : String(token.projectIds.length),
      formatTime(token.createdAt),
      token.lastUsedAt ? formatTime(token.lastUsedAt) : 'never',
      stateOf(token),
      token.id,
    ]);
    if (output.json) output.value(apiTokens.nodes);
    else if (rows.length > 0) output.table([HEAD, ...rows]);
    else output.note('There are no such tokens.');
    return EXIT.done;
  });
}

function stateOf({ revokedAt, expiresAt }: { revokedAt: string | null; expiresAt: string | null }): string {
  if (revokedAt) return 'revoked';
  if (!expiresAt) return 'works';
  return new Date(expiresAt) > new Date() ? `until ${formatTime(expiresAt)}` : 'expired';
}
