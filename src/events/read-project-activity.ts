/** The milestones of all builds of a project in one order. */
import type { Database } from '../database/database.ts';
import type { BuildEvent } from './event.ts';
import { toEvent } from './read-events.ts';

export interface ProjectActivity {
  /** 1, 2, 3 … per project, without gaps. */
  readonly seq: number;
  readonly event: BuildEvent;
}

export interface ActivityPage {
  readonly projectId: string;
  /** Only what has a greater number. */
  readonly after: number;
  readonly limit: number;
}

export async function readProjectActivity(db: Database, page: ActivityPage): Promise<ProjectActivity[]> {
  const rows = await db
    .selectFrom('project_events as activity')
    .innerJoin('build_events as event', (join) =>
      join.onRef('event.build_id', '=', 'activity.build_id').onRef('event.seq', '=', 'activity.build_seq'),
    )
    .selectAll('event')
    .select('activity.seq as activity_seq')
    .where('activity.project_id', '=', page.projectId)
    .where('activity.seq', '>', page.after)
    .orderBy('activity.seq')
    .limit(page.limit)
    .execute();
  return rows.map(({ activity_seq, ...row }) => ({ seq: activity_seq, event: toEvent(row) }));
}
