/** A project's milestones from a cursor on, and then live; it never ends by itself. */
import type { Database } from '../database/database.ts';
import type { BuildEventType } from './event.ts';
import type { EventHub } from './event-hub.ts';
import { follow } from './follow.ts';
import { lastActivity, type ProjectActivity, readProjectActivity } from './read-project-activity.ts';
import { projectTopic } from './topics.ts';

/** Rows of one read. */
const PAGE = 200;

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
): AsyncIterableIterator<ProjectActivity> {
  // What the filter holds back moves no cursor: remembered here, so that it is not looked through again at every look.
  let seen = after;
  return follow<ProjectActivity>({
    hub,
    topic: projectTopic(projectId),
    load: async () => {
      const last = types ? await lastActivity(db, projectId) : 0;
      const page = await readProjectActivity(db, { projectId, after: seen, limit: PAGE, types });
      seen = page.at(-1)?.seq ?? Math.max(seen, last);
      return page;
    },
    cursorOf: (row) => row.seq,
    isLast: () => false,
    after,
  });
}
