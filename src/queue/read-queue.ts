/** The settings of the queue as people read them. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';

export interface QueueSettings {
  readonly pausedAt: Date | null;
  readonly pausedBy: string | null;
  /** Builds and tasks that run at the same time in all; null for any number. */
  readonly maxRunning: number | null;
}

export async function readQueueSettings(db: Database): Promise<QueueSettings> {
  const { rows } = await sql<QueueSettings>`
    select paused_at as "pausedAt", paused_by as "pausedBy", max_running as "maxRunning" from queue_state`.execute(db);
  if (!rows[0]) throw new Error('the queue has a row');
  return rows[0];
}

export interface KeyState {
  readonly key: string;
  readonly maxRunning: number;
  readonly running: number;
}

export interface ProjectQueue {
  readonly projectId: string;
  readonly pausedAt: Date | null;
  readonly pausedBy: string | null;
  /** Keys with a limit of their own, and those that have something running, by name: at most `MAX_KEYS`. */
  readonly keys: readonly KeyState[];
}

export const MAX_KEYS = 100;

/** One for each project that the queue knows: it has had something to wait, or settings. */
export async function readProjectQueues(db: Database, projectIds: readonly string[]): Promise<ProjectQueue[]> {
  const { rows } = await sql<ProjectQueue>`
    select o.project_id as "projectId", o.paused_at as "pausedAt", o.paused_by as "pausedBy",
           (select coalesce(jsonb_agg(to_jsonb(k)), '[]')
              from (select k.key, coalesce(k.max_running, o.key_limit) as "maxRunning", k.running - g.items as running
                      from queue_keys k cross join lateral (
                        -- What has ended is counted by a later claim.
                        select count(*)::integer as items from queue_removals g
                         where g.project_id = k.project_id and g.key = k.key and g.ran) g
                     where k.project_id = o.project_id and (k.running > g.items or k.max_running is not null)
                     order by k.key limit ${MAX_KEYS}) k) as keys
      from queue_owners o where o.project_id = any(${[...projectIds]}::uuid[])`.execute(db);
  return rows;
}
