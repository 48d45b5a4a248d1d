import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Left } from './coordinator.ts';

/** How long the agent's home of a finished build stays, so that its session can be resumed. */
const KEEP_SESSIONS_DAYS = 7;

/**
 * Those of these builds that have left something in this place which may go. A build that waits is not among them: a
 * worker of this host may go on with what is here. Nor is a task that is not over: its next attempt here ends what is left.
 */
export async function findRemains(
  db: Database,
  { buildIds, place }: { readonly buildIds: readonly string[]; readonly place: string },
): Promise<readonly Left[]> {
  // The commit of a push that was intended may be nowhere but here.
  const { rows } = await sql<Left>`
    select here.id,
           case when b.status = 'RUNNING' then 'elsewhere'
                when b.finished_at >= now() - make_interval(days => ${KEEP_SESSIONS_DAYS}) then 'ended'
                else 'expired' end as remains,
           case when b.status = 'RUNNING' then b.attempt_no - 1 end as "attemptNo"
      from unnest(${buildIds}::uuid[]) as here (id)
      left join build_audit b on b.id = here.id
      left join workers w on w.id = b.worker_id
     where (b.id is null and not exists (select from tasks t where t.id = here.id and t.finished_at is null))
        or b.finished_at is not null
        or (b.status = 'RUNNING' and w.host <> ${place} and b.push_intent_sha is null)
  `.execute(db);
  return rows;
}
