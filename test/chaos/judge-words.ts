/** The agents of a run count aloud: whoever reads a build's events must hear every number once and in its order. */
import { sql } from 'kysely';
import type { Database } from '../../src/database/database.ts';
import type { Violation } from '../faults/promises.ts';

/** What an agent said that was begun anew starts at 0 again. */
export async function judgeWords(db: Database): Promise<Violation[]> {
  const { rows } = await sql<{ id: string; seq: number; type: string; number: number | null }>`
    select build_id as id, seq, type, substring(data -> 'content' ->> 'text' from '^(?:word|event) (\\d+)$')::int as number
      from build_events
     where type = 'AGENT_STARTED' or data -> 'content' ->> 'text' ~ '^(word|event) \\d+$'
     order by build_id, seq`.execute(db);
  const violations: Violation[] = [];
  let build = '';
  let next = 0;
  for (const { id, seq, type, number } of rows) {
    if (id !== build || type === 'AGENT_STARTED') next = 0;
    build = id;
    if (number === null) continue;
    if (number !== next) {
      const detail = `event ${seq} is number ${number} of its agent, where ${next} must be`;
      violations.push({ promise: 'fence', buildId: id, detail });
    }
    next = number + 1;
  }
  return violations;
}
