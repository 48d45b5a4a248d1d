/** What signs a project's callbacks, and for a while after a change what signed them before. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { UnavailableError } from '../errors.ts';
import { callbackSecret } from './callback-secret.ts';
import type { Keyring } from './keyring.ts';
import { type OpenedCredential, type ReadDeps, readCredentials } from './read-credentials.ts';

export interface SigningInput {
  /** UUID. */
  readonly projectId: string;
  readonly secretVersion: number;
}

/**
 * One or two `whsec_…`, the current one first: Standard Webhooks lets a message carry a signature of each. Throws
 * UnavailableError when a credential that has to sign cannot be opened: a callback is late rather than signed by another.
 */
export async function readSigningSecrets(
  deps: ReadDeps & { readonly keyring: Pick<Keyring, 'callbackRoot'> },
  { projectId, secretVersion }: SigningInput,
): Promise<readonly string[]> {
  const { opened, unreadable } = await readCredentials(deps, { projectId, kind: 'CALLBACK_SIGNING' });
  const [current] = opened;
  const ownIsEnough = current?.projectId === projectId && (current.previousUntil === null || current.previous !== null);
  const [broken] = unreadable;
  if (broken && !ownIsEnough)
    throw new UnavailableError(`The credential ${broken.name} cannot be opened. ${broken.reason}`);
  return signingSecrets(opened, callbackSecret(deps.keyring, { projectId, version: secretVersion }));
}

/** `signing` has the project's own before the one of every project. */
function signingSecrets(
  signing: readonly Pick<OpenedCredential, 'value' | 'previous' | 'previousUntil'>[],
  derived: string,
): readonly string[] {
  const [current, next] = signing;
  if (!current) return [derived];
  if (current.previousUntil === null) return [current.value];
  // Before its first change it had stepped in front of what signs without it.
  return [current.value, current.previous ?? next?.value ?? derived];
}

/** Takes away what signed callbacks before, once its grace has ended. Safe to repeat. */
export async function forgetEndedGrace(db: Database): Promise<void> {
  await db
    .updateTable('credentials')
    .set({ previous_sealed: null, previous_until: null })
    .where('previous_until', '<=', sql<Date>`now()`)
    .execute();
}
