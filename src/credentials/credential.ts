/** A project's secrets by name. They are written by people and read by workers; no API gives them out. */
import { v7 as uuidv7 } from 'uuid';
import { z } from 'zod';
import type { Database } from '../database/database.ts';
import { InvalidInputError } from '../errors.ts';
import type { MasterKey } from './master-key.ts';
import { open, seal } from './seal.ts';

const MAX_VALUE_BYTES = 64 * 1024;

const credentialInput = z.object({
  name: z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9._-]{0,62}$/,
      'must start with a letter and hold only letters, digits and . _ - (at most 63)',
    ),
  value: z
    .string()
    .min(1, 'must not be empty')
    .refine((value) => Buffer.byteLength(value) <= MAX_VALUE_BYTES, `must be at most ${MAX_VALUE_BYTES} bytes`)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), 'must be well-formed text without NUL'),
});

export interface CredentialDeps {
  readonly db: Database;
  readonly masterKey: MasterKey;
}

export interface CredentialName {
  /** UUID without prefix, of a project that exists. */
  readonly projectId: string;
  readonly name: string;
}

/** Stores a secret, in place of the one that had this name. Throws InvalidInputError, which never holds the value. */
export async function setCredential(
  deps: CredentialDeps,
  input: CredentialName & { readonly value: string },
): Promise<void> {
  const checked = credentialInput.safeParse(input);
  if (!checked.success) {
    throw new InvalidInputError(checked.error.issues.map(({ path, message }) => ({ path: path.map(String), message })));
  }
  const sealed = await seal(deps.masterKey, { text: input.value, context: contextOf(input) });
  await deps.db
    .insertInto('credentials')
    .values({ id: uuidv7(), project_id: input.projectId, name: input.name, sealed })
    .onConflict((conflict) =>
      conflict.columns(['project_id', 'name']).doUpdateSet((row) => ({
        sealed: row.ref('excluded.sealed'),
        updated_at: row.fn('now', []),
      })),
    )
    .execute();
}

/** The secret, or null when the project has none of this name. Throws UnavailableError when it cannot be opened. */
export async function readCredential(deps: CredentialDeps, input: CredentialName): Promise<string | null> {
  const row = await deps.db
    .selectFrom('credentials')
    .select('sealed')
    .where('project_id', '=', input.projectId)
    .where('name', '=', input.name)
    .executeTakeFirst();
  return row ? open(deps.masterKey, { sealed: row.sealed, context: contextOf(input) }) : null;
}

/** A row that was copied to another project or name does not open there. */
function contextOf(input: CredentialName): string {
  return `${input.projectId}|${input.name}`;
}
