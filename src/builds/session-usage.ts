import { sql } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Usage } from '../events/event.ts';

/** So many builds of one session are added up. */
const MAX_BUILDS = 100;

/**
 * What this build, and those before it whose session it went on with, used in all; null when none of them is known to
 * have used anything. What one of them did not report is left out: nobody was billed for it.
 */
export async function readSessionUsage(db: Database, buildId: string): Promise<Usage | null> {
  const { rows } = await sql<Usage & { known: number }>`
    with recursive session as (
      select usage, spec->>'resumeSessionOf' as earlier, result->>'sessionId' as id, 1 as place
      from build_audit where id = ${buildId}
      union all
      select build.usage, build.spec->>'resumeSessionOf', build.result->>'sessionId', place + 1
      from session
      join build_audit as build on build.id = session.earlier::uuid and build.result->>'sessionId' = session.id
      where place < ${MAX_BUILDS}
    )
    select count(usage)::int as known,
      sum((usage->>'inputTokens')::float8) as "inputTokens",
      sum((usage->>'outputTokens')::float8) as "outputTokens",
      sum((usage->>'cacheReadTokens')::float8) as "cacheReadTokens",
      sum((usage->>'cacheWriteTokens')::float8) as "cacheWriteTokens",
      sum((usage->>'costUsd')::float8) as "costUsd",
      sum((usage->>'turns')::float8) as turns
    from session`.execute(db);
  const [sum] = rows;
  if (!sum || sum.known === 0) return null;
  const { known: _, ...usage } = sum;
  return usage;
}
