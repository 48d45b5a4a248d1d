/** The token that makes a new installation usable. */
import { chmod, writeFile } from 'node:fs/promises';
import { createApiToken, hasApiTokens, listApiTokens, MAX_VALID_TOKENS, revokeApiToken } from '../auth/api-token.ts';
import type { Database } from '../database/database.ts';
import { tokenFile } from './token-file.ts';

const ACTOR = 'slipway up';
const EVERY_VALID = { direction: 'desc', after: null, before: null, limit: MAX_VALID_TOKENS, fromEnd: false } as const;

/**
 * Makes an administrator's token and its file when there was never a token; null otherwise. With `anew` in any case: the
 * one before was lost, so every token that was made here before is revoked.
 */
export async function makeFirstToken(
  db: Database,
  { dataFolder, anew }: { readonly dataFolder: string; readonly anew: boolean },
): Promise<string | null> {
  if (!anew && (await hasApiTokens(db))) return null;
  const earlier = await listApiTokens(db, { onlyValid: true, createdBy: ACTOR }, EVERY_VALID);
  for (const { id } of earlier) await revokeApiToken(db, id, ACTOR);
  const { token } = await createApiToken(db, {
    name: 'first token',
    scopes: ['admin'],
    projectIds: null,
    expiresAt: null,
    createdBy: ACTOR,
  });
  const file = tokenFile(dataFolder);
  await writeFile(file, `${token}\n`, { mode: 0o600 });
  // The mode above counts for a new file only.
  await chmod(file, 0o600);
  return token;
}
