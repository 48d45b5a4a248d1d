/** Rows that a delivery hangs on: a project, finished builds, and their place in the outbox. */
import { v7 } from 'uuid';
import type { BuildResult } from '../../src/builds/build-result.ts';
import type { Database } from '../../src/database/database.ts';

export const RESULT: BuildResult = {
  success: true,
  output: 'Done.',
  error: null,
  publication: 'PUSHED',
  commitSha: 'a'.repeat(40),
  commitUrl: null,
  branch: 'main',
  filesChanged: [],
  durationMs: 1234,
  artifacts: [],
  usage: null,
  sessionId: null,
};

export async function insertProject(db: Database): Promise<string> {
  const id = v7();
  await db
    .insertInto('projects')
    .values({ id, slug: `p-${id}`, name: 'Project', default_branch: 'main', created_by: 'test' })
    .execute();
  return id;
}

export interface NewFinishedBuild {
  readonly projectId: string;
  readonly number: number;
  readonly result?: Partial<BuildResult>;
}

export async function insertFinishedBuild(db: Database, build: NewFinishedBuild): Promise<string> {
  const id = v7();
  await db
    .insertInto('build_audit')
    .values({
      id,
      project_id: build.projectId,
      number: build.number,
      status: 'COMPLETED',
      phase: 'DONE',
      source: 'API',
      spec: JSON.stringify({ provider: 'scripted', branch: 'main', template: null, labels: {} }),
      result: JSON.stringify({ ...RESULT, ...build.result }),
      requested_by: 'test',
      started_at: new Date(),
      finished_at: new Date(),
    })
    .execute();
  return id;
}

export interface NewDelivery {
  readonly projectId: string;
  readonly buildId: string;
  readonly url: string;
}

export async function insertDelivery(db: Database, delivery: NewDelivery): Promise<string> {
  const id = v7();
  await db
    .insertInto('deliveries')
    .values({
      id,
      build_id: delivery.buildId,
      project_id: delivery.projectId,
      kind: 'build.finished',
      url: delivery.url,
    })
    .execute();
  return id;
}
