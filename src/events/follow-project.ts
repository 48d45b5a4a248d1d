/** A project's milestones from a cursor on, and then live; it never ends by itself. */
import type { Database } from '../database/database.ts';
import type { FeedIterator } from '../std/feed.ts';
import type { BuildEventType } from './event.ts';
import type { EventHub } from './event-hub.ts';
import { follow } from './follow.ts';
import { lastActivity, type ProjectActivity, readProjectActivity } from './read-project-activity.ts';
import { projectTopic } from './topics.ts';

/** Rows of one read. */
const PAGE = 200;
/** Cursors that are remembered; of others a little is looked through again. */
const MAX_SEEN = 1_000;

export interface FollowProjectOptions {
  readonly projectId: string;
  /** Only what has a greater number. */
  readonly after: number;
  /** Only these; null means all. */
  readonly types: readonly BuildEventType[] | null;
}

export function followProject(
  { db, hub }: { readonly db: Database; readonly hub: EventHub },
  { projectId, after, types }: FollowProjectOptions,
): FeedIterator<ProjectActivity> {
  // What the filter holds back moves no cursor: remembered here, so that it is not looked through again at every look.
  const seen = new Map<number, number>();
  const topic = projectTopic(projectId);
  return follow<ProjectActivity>({
    hub,
    topic,
    share: JSON.stringify([topic, types?.toSorted() ?? null]),
    page: PAGE,
    load: async (cursor) => {
      const last = types ? await lastActivity(db, projectId) : 0;
      const from = seen.get(cursor) ?? cursor;
      const page = await readProjectActivity(db, { projectId, after: from, limit: PAGE, types });
      if (page.length > 0) seen.delete(cursor);
      else if (last > from) remember(seen, cursor, last);
      return page;
    },
    cursorOf: (row) => row.seq,
    isLast: () => false,
    after,
  });
}

function remember(seen: Map<number, number>, cursor: number, last: number): void {
  const [oldest] = seen.keys();
  if (oldest !== undefined && seen.size >= MAX_SEEN) seen.delete(oldest);
  seen.set(cursor, last);
}
