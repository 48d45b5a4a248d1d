/** Writes events inside the caller's transaction. */
import { CompiledQuery } from 'kysely';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { PREPARED } from '../database/guarded-pool.ts';
import { MILESTONES, type NewBuildEvent } from './event.ts';

const STATEMENT = `${PREPARED} select append_build_events($1, $2, $3::jsonb) as seq`;

export interface EventWriter {
  readonly buildId: string;
  /** The worker's attempt: nothing is written when it is no longer the current one. Null: not a worker. */
  readonly attemptNo: number | null;
}

/** Appends events in this order and returns the last one's number; null when the attempt is superseded. */
export async function appendEvents(
  db: Database | DatabaseTransaction,
  writer: EventWriter,
  events: readonly NewBuildEvent[],
): Promise<number | null> {
  const values = [writer.buildId, writer.attemptNo, eventRows(events)];
  const result = await db.executeQuery<{ seq: number | null }>(CompiledQuery.raw(STATEMENT, values));
  return result.rows[0]?.seq ?? null;
}

/** JSON, as the functions of the database take them. */
export function eventRows(events: readonly NewBuildEvent[]): string {
  return JSON.stringify(events.map(eventRow));
}

/** A part of such JSON. */
export function eventRow({ type, data }: NewBuildEvent) {
  return { type, data, milestone: MILESTONES[type] };
}
