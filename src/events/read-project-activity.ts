/** The milestones of all builds of a project in one order. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { BuildEvent, BuildEventType } from './event.ts';
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
  /** Only these; null means all. */
  readonly types: readonly BuildEventType[] | null;
}

export async function readProjectActivity(db: Database, page: ActivityPage): Promise<ProjectActivity[]> {
  let query = db
    .selectFrom('project_events as activity')
    .innerJoin('build_events as event', (join) =>
      join.onRef('event.build_id', '=', 'activity.build_id').onRef('event.seq', '=', 'activity.build_seq'),
    )
    .selectAll('event')
    .select('activity.seq as activity_seq')
    .where('activity.project_id', '=', page.projectId)
    .where('activity.seq', '>', page.after)
    .orderBy('activity.seq')
    .limit(page.limit);
  if (page.types) query = query.where(sql<boolean>`activity.type = any(${page.types}::text[])`);
  const rows = await query.execute();
  return rows.map(({ activity_seq, ...row }) => ({ seq: activity_seq, event: toEvent(row) }));
}

/** The number of a project's last milestone. Every smaller one is there to be read, too. */
export async function lastActivity(db: Database, projectId: string): Promise<number> {
  const project = await db.selectFrom('projects').select('activity_seq').where('id', '=', projectId).executeTakeFirst();
  return project?.activity_seq ?? 0;
}
