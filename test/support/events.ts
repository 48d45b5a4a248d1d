/** Rows for tests that need builds without a worker. */
import { v7 } from 'uuid';
import type { Database } from '../../src/database/database.ts';

export interface TestBuild {
  readonly projectId: string;
  readonly buildId: string;
}

/** A project with `count` waiting builds, straight into the tables. */
export async function insertBuilds(db: Database, count = 1): Promise<TestBuild[]> {
  const projectId = v7();
  await db
    .insertInto('projects')
    .values({ id: projectId, slug: projectId, name: 'Test', default_branch: 'main', created_by: 'test' })
    .execute();
  const builds = Array.from({ length: count }, (_, index) => ({
    id: v7(),
    project_id: projectId,
    number: index + 1,
    source: 'API' as const,
    spec: JSON.stringify({ provider: 'scripted', branch: 'main', labels: {} }),
    requested_by: 'test',
  }));
  await db.insertInto('build_audit').values(builds).execute();
  return builds.map((build) => ({ projectId, buildId: build.id }));
}
