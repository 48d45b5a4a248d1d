/** What people have told the agent of a build, and whether it knows. */
import type { Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import type { BuildMessagesTable } from '../database/tables.ts';
import type { NewBuildEvent } from '../events/event.ts';
import type { MessageMode, MessageState } from '../events/vocabulary.ts';

/** Of one build. */
export const MAX_MESSAGES = 100;

export interface BuildMessage {
  readonly id: string;
  readonly buildId: string;
  readonly mode: MessageMode;
  readonly text: string;
  readonly state: MessageState;
  /** How the agent was given it; null while it was not. */
  readonly deliveredAs: MessageMode | null;
  /** Who sent it, as in the audit log. */
  readonly sentBy: string;
  readonly createdAt: Date;
  readonly deliveredAt: Date | null;
}

export function toBuildMessage(row: Selectable<BuildMessagesTable>): BuildMessage {
  return {
    id: row.id,
    buildId: row.build_id,
    mode: row.mode,
    text: row.text,
    state: row.state,
    deliveredAs: row.delivered_as,
    sentBy: row.sent_by,
    createdAt: row.created_at,
    deliveredAt: row.delivered_at,
  };
}

/** In the order in which they were sent; at most `MAX_MESSAGES`. */
export async function readMessages(db: Database | DatabaseTransaction, buildId: string): Promise<BuildMessage[]> {
  const rows = await db
    .selectFrom('build_messages')
    .selectAll()
    .where('build_id', '=', buildId)
    .orderBy('id')
    .limit(MAX_MESSAGES)
    .execute();
  return rows.map(toBuildMessage);
}

/** Those of them that were not yet. The caller holds the build's row; returns what to publish. */
export async function markDelivered(
  trx: DatabaseTransaction,
  buildId: string,
  delivered: { readonly ids: readonly string[]; readonly as: MessageMode },
): Promise<NewBuildEvent[]> {
  if (delivered.ids.length === 0) return [];
  const rows = await trx
    .updateTable('build_messages')
    .set({ state: 'DELIVERED', delivered_as: delivered.as, delivered_at: sql<Date>`clock_timestamp()` })
    .where('build_id', '=', buildId)
    .where('id', 'in', delivered.ids)
    .where('state', '=', 'PENDING')
    .returning('id')
    .execute();
  const ids = rows.map(({ id }) => id).sort();
  return ids.map((messageId) => ({ type: 'MESSAGE_DELIVERED', data: { messageId, as: delivered.as } }));
}
