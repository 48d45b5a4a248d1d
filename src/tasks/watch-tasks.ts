/** Hints that there is work: what a worker that cannot poll waits for before it claims. */
import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { EventHub } from '../events/event-hub.ts';
import { follow } from '../events/follow.ts';
import { TASKS_TOPIC } from '../events/topics.ts';
import { canonicalJson } from '../std/canonical-json.ts';

/** The same hint is not given more often. */
const SAME_EVERY_MS = 1_000;

export interface TaskWatch {
  readonly types: readonly string[];
  readonly labels: readonly string[];
  /** Only tasks of these; null means all. */
  readonly projectIds: readonly string[] | null;
}

/** Of these types there is something that could be claimed, unless a limit holds it back or somebody is faster. */
export interface TaskHint {
  readonly seq: number;
  readonly types: readonly string[];
}

/** The first comes at once, also where there is nothing. It does not end by itself. */
export function watchTasks(
  { db, hub }: { readonly db: Database; readonly hub: EventHub },
  watch: TaskWatch,
): AsyncIterableIterator<TaskHint> {
  let last: { readonly text: string; readonly at: number } | null = null;
  return follow<TaskHint>({
    hub,
    topic: TASKS_TOPIC,
    async load(after) {
      const types = await findAvailable(db, watch);
      const text = canonicalJson(types);
      const now = performance.now();
      const isKnown = last?.text === text && (types.length === 0 || now - last.at < SAME_EVERY_MS);
      // What is gone and comes again is new.
      const isGone = last !== null && types.length === 0;
      if (!isKnown) last = { text, at: now };
      return isKnown || isGone ? [] : [{ seq: after + 1, types }];
    },
    cursorOf: ({ seq }) => seq,
    isLast: () => false,
    after: 0,
  });
}

async function findAvailable(db: Database, { types, labels, projectIds }: TaskWatch): Promise<string[]> {
  const { rows } = await sql<{ type: string }>`
    select wanted.type from unnest(${types}::text[]) wanted (type)
     where exists (
       select from tasks t
        where t.type = wanted.type and t.status = 'PENDING' and t.ready_at <= now() and t.needs <@ ${labels}::text[]
          and (${projectIds}::uuid[] is null or t.project_id = any(${projectIds}::uuid[])))
     order by wanted.type`.execute(db);
  return rows.map(({ type }) => type);
}
