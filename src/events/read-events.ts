/** Events read back. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { executePrepared } from '../database/execute-prepared.ts';
import type { BuildEvent, BuildEventType } from './event.ts';

export interface EventPage {
  readonly buildId: string;
  /** Only events with a greater number. */
  readonly after: number;
  readonly limit: number;
  readonly types?: readonly BuildEventType[];
}

export async function readEvents(db: Database, page: EventPage): Promise<BuildEvent[]> {
  let query = db
    .selectFrom('build_events')
    .selectAll()
    .where('build_id', '=', page.buildId)
    .where('seq', '>', page.after)
    .orderBy('seq')
    .limit(page.limit);
  if (page.types) query = query.where(sql<boolean>`type = any(${page.types}::text[])`);
  return (await executePrepared(db, query)).map(toEvent);
}

interface EventRow {
  readonly build_id: string;
  readonly seq: number;
  readonly attempt_no: number;
  readonly type: string;
  readonly at: Date;
  readonly data: unknown;
}

export function toEvent(row: EventRow): BuildEvent {
  return {
    buildId: row.build_id,
    seq: row.seq,
    attemptNo: row.attempt_no,
    at: row.at,
    type: row.type,
    data: row.data,
  } as BuildEvent;
}
