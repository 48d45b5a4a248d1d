/** Events page by page: the history that a person scrolls through. Followers read with `readEvents`. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import { type Keyset, readChildPages } from '../database/keyset.ts';
import type { BuildEvent, BuildEventType } from './event.ts';
import { toEvent } from './read-events.ts';

export interface EventLists {
  readonly buildIds: readonly string[];
  /** Only these; null means all. */
  readonly types: readonly BuildEventType[] | null;
}

/** The same page of each build's events, in one statement. The key is the event's number. */
export async function listEventsOf(
  db: Database,
  { buildIds, types }: EventLists,
  keyset: Keyset,
): Promise<Map<string, BuildEvent[]>> {
  const pages = await readChildPages(db, {
    parents: buildIds,
    childrenOf: (build) => {
      const events = db.selectFrom('build_events').selectAll().where('build_id', '=', build);
      return types ? events.where(sql<boolean>`type = any(${types}::text[])`) : events;
    },
    column: 'seq',
    keyset,
  });
  return new Map([...pages].map(([build, rows]) => [build, rows.map(toEvent)]));
}
