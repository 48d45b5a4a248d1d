/** The noun: a git repository with its settings. */
import { type Selectable, sql } from 'kysely';
import { z } from 'zod';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { executePrepared } from '../database/execute-prepared.ts';
import type { ProjectsTable } from '../database/tables.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';
import { artifactGlob, checkoutGlob } from './artifact-glob.ts';
import { commandInput } from './command-input.ts';
import { networkInput } from './network-input.ts';
import { supersedeInput } from './supersede-input.ts';
import { workspaceInput } from './workspace-input.ts';

const seconds = z.int().min(1).max(86_400);

const queueInput = z.strictObject({
  /** Builds and tasks of the project that run at the same time; null for any number. */
  maxRunning: z.int().min(0).max(100_000).nullish(),
  /** Of those with the same concurrency key; by default 1. */
  maxRunningPerKey: z.int().min(1).max(100_000).nullish(),
  /** How much of what is free goes to this project, beside others that wait, too; by default 1. */
  weight: z.number().min(0.01).max(1000).nullish(),
});

/** Defaults for the project's builds; a build's own spec goes before them. */
export const projectSettings = z.strictObject({
  provider: z.string().min(1).max(100).nullish(),
  model: z.string().min(1).max(200).refine(isPlainText, NOT_PLAIN_TEXT).nullish(),
  callbackUrl: z.string().max(2048).nullish(),
  limits: z
    .strictObject({
      wallSeconds: seconds.nullish(),
      silenceSeconds: seconds.nullish(),
      lingerSeconds: seconds.nullish(),
      maxRetries: z.int().min(0).max(1000).nullish(),
      maxTurns: z.int().min(1).max(10_000).nullish(),
      maxTokens: z.int().min(1).max(1_000_000_000_000).nullish(),
      maxCostUsd: z.number().positive().max(10_000).nullish(),
    })
    .nullish(),
  /** What builds may use: one of them, and all of them in a day of UTC. */
  budget: z
    .strictObject({
      perBuildUsd: z.number().positive().max(10_000).nullish(),
      perDayUsd: z.number().positive().max(1_000_000).nullish(),
      perDayTokens: z.int().min(1).max(1_000_000_000_000).nullish(),
    })
    .nullish(),
  /** Its place among the others in the queue, and what may run at the same time. */
  queue: queueInput.nullish(),
  /** What agents may reach besides their model. */
  network: networkInput.nullish(),
  /** What a new build does to the earlier ones. */
  supersede: supersedeInput.nullish(),
  /** Globs of the files that are kept when a build ends, relative to the checkout. */
  artifacts: z.array(artifactGlob).max(50).nullish(),
  /** Lets agent configuration in the repository (hooks, MCP servers, plugins) run. */
  trustRepoConfig: z.boolean().nullish(),
  /** The search for secrets in what a build would commit: whether, and globs of files that may hold what looks like one. */
  secretScan: z
    .strictObject({ enabled: z.boolean().nullish(), allowPaths: z.array(checkoutGlob).max(50).nullish() })
    .nullish(),
  /** What the agent's container is made of; no effect on the local runtime. */
  workspace: workspaceInput.nullish(),
  /** What tasks of the type `test` run, and a glob of the reports that it writes. */
  testCommand: commandInput.nullish(),
  testReport: checkoutGlob.nullish(),
  /** What tasks of the type `deploy` do: run this, or apply the files that these globs name to a cluster. */
  deployCommand: commandInput.nullish(),
  deployManifests: z.array(checkoutGlob).min(1).max(20).nullish(),
});

export type ProjectSettings = z.output<typeof projectSettings>;

export interface Project {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly status: Selectable<ProjectsTable>['status'];
  /** Null: a bare repository managed by Slipway. */
  readonly repositoryUrl: string | null;
  readonly defaultBranch: string;
  /** The template that builds of this project use when they name none. */
  readonly template: string | null;
  readonly settings: ProjectSettings;
  readonly activitySeq: number;
  readonly secretVersion: number;
  /** Rises with whatever builds are completed from. */
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly archivedAt: Date | null;
}

export function toProject(row: Selectable<ProjectsTable>): Project {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    status: row.status,
    repositoryUrl: row.repository_url,
    defaultBranch: row.default_branch,
    template: row.template,
    settings: row.settings as ProjectSettings,
    activitySeq: row.activity_seq,
    secretVersion: row.secret_version,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    archivedAt: row.archived_at,
  };
}

export async function findProject(db: Database | DatabaseTransaction, id: string): Promise<Project | null> {
  const row = await db.selectFrom('projects').selectAll().where('id', '=', id).executeTakeFirst();
  return row ? toProject(row) : null;
}

export async function findProjects(db: Database, ids: readonly string[]): Promise<Project[]> {
  if (ids.length === 0) return [];
  const query = db.selectFrom('projects').selectAll().where(sql<boolean>`id = any(${ids}::uuid[])`);
  return (await executePrepared(db, query)).map(toProject);
}

/** The project that is not archived and has this slug. */
export async function findProjectBySlug(db: Database, slug: string): Promise<Project | null> {
  const row = await db
    .selectFrom('projects')
    .selectAll()
    .where('slug', '=', slug)
    .where('status', '!=', 'ARCHIVED')
    .executeTakeFirst();
  return row ? toProject(row) : null;
}
