/** The token that makes a new installation usable. */
import { chmod, writeFile } from 'node:fs/promises';
import { createApiToken, listApiTokens } from '../auth/api-token.ts';
import type { Database } from '../database/database.ts';
import { tokenFile } from './token-file.ts';

/** Makes an administrator's token and its file when there was never a token, or when `anew`; null otherwise. */
export async function makeFirstToken(
  db: Database,
  { dataFolder, anew }: { readonly dataFolder: string; readonly anew: boolean },
): Promise<string | null> {
  if (!anew && (await listApiTokens(db)).length > 0) return null;
  const { token } = await createApiToken(db, {
    name: 'first token',
    scopes: ['admin'],
    projectIds: null,
    expiresAt: null,
    createdBy: 'slipway up',
  });
  const file = tokenFile(dataFolder);
  await writeFile(file, `${token}\n`, { mode: 0o600 });
  // The mode above counts for a new file only.
  await chmod(file, 0o600);
  return token;
}
