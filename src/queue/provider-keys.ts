import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { inTransaction } from '../database/transaction.ts';

/** In which variable the agent of a provider takes its key: what the queue needs to know which credential a build uses. */
export interface ProviderKey {
  readonly provider: string;
  readonly variable: string;
}

/**
 * Writes what differs, and lets builds in the queue know. Every process does when it starts; they know the same unless their
 * versions differ.
 */
export async function recordProviderKeys(db: Database, keys: readonly ProviderKey[]): Promise<void> {
  const providers = keys.map(({ provider }) => provider);
  const variables = keys.map(({ variable }) => variable);
  await inTransaction(db, async (trx) => {
    const { rows } = await sql`
      insert into provider_keys as known (provider, variable)
      select * from unnest(${providers}::text[], ${variables}::text[]) new (provider, variable) order by new.provider
      on conflict (provider) do update set variable = excluded.variable where known.variable <> excluded.variable
      returning provider`.execute(trx);
    if (rows.length > 0) await sql`select queue_learn_keys()`.execute(trx);
  });
}
