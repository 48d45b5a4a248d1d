import { type Compilable, CompiledQuery } from 'kysely';
import type { Database } from './database.ts';
import { PREPARED } from './guarded-pool.ts';

/** For a query whose text is the same each time, or one of a few: each connection parses it once. Gives its rows. */
export async function executePrepared<Row>(db: Database, query: Compilable<Row>): Promise<Row[]> {
  const { sql, parameters } = query.compile();
  const { rows } = await db.executeQuery<Row>(CompiledQuery.raw(`${PREPARED} ${sql}`, [...parameters]));
  return rows;
}
