/** As whom a remote worker claims: by what is said of it, and what its token sees. */
import { sql } from 'kysely';
import type { Viewer } from '../auth/viewer.ts';
import type { Database } from '../database/database.ts';
import { readStanding } from '../workers/standing.ts';

export interface RemoteClaimer {
  readonly workerId: string;
  readonly workerName: string;
  readonly labels: readonly string[];
  readonly projectIds: readonly string[];
}

/** Null: it is given nothing. */
export async function findClaimer(
  db: Database,
  { viewer, workerId }: { readonly viewer: Viewer; readonly workerId: string },
  asked: readonly string[],
): Promise<RemoteClaimer | null> {
  const standing = await readStanding(db, workerId);
  if (!standing.takesWork) return null;
  // Which agents there are only it can say; what else it is good for was said when it came.
  const labels = [...new Set([...standing.labels, ...asked.filter((label) => label.startsWith('provider:'))])];
  const row = await db.selectFrom('workers').select('name').where('id', '=', workerId).executeTakeFirstOrThrow();
  const projectIds = await findDistantProjects(db, viewer);
  return projectIds.length === 0 ? null : { workerId, workerName: row.name, labels, projectIds };
}

/** Of those that the token sees: a repository in the server's data folder, or a path there, can be reached from no other machine. */
async function findDistantProjects(db: Database, { projectIds }: Viewer): Promise<readonly string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from projects
     where repository_url is not null and repository_url not like '/%'
       and (${projectIds === null} or id = any(${[...(projectIds ?? [])]}::uuid[]))`.execute(db);
  return rows.map(({ id }) => id);
}
