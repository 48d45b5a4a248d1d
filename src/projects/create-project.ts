/** A new project: its row and its git credentials, or nothing. */
import { v7 } from 'uuid';
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import { setCredential } from '../credentials/credential.ts';
import type { MasterKey } from '../credentials/master-key.ts';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { isUniqueViolation } from '../database/transient.ts';
import { ConflictError, InvalidInputError } from '../errors.ts';
import { refProblem } from '../git/ref-name.ts';
import { isLocalPath, repositoryUrlProblem } from '../git/remote-url.ts';
import { outboundUrlProblem } from '../std/outbound-url.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';
import { type Project, projectSettings, toProject } from './project.ts';
import { findTemplate, type TemplateCatalogue, templateReference } from './template.ts';

/** The name of the credential that holds `{ username, password }` for the repository. */
export const GIT_CREDENTIAL = 'git';

// They reach git as lines.
const oneLine = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => isPlainText(text) && !/[\r\n]/.test(text), 'must be one line of well-formed text without NUL');

export const gitCredentials = z.strictObject({ username: oneLine(255), password: oneLine(4096) });

export const projectInput = z.strictObject({
  name: z.string().trim().min(1).max(100).refine(isPlainText, NOT_PLAIN_TEXT),
  slug: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must hold only lower-case letters, digits and - (at most 63)')
    .nullish(),
  repositoryUrl: z.string().nullish(),
  gitCredentials: gitCredentials.nullish(),
  defaultBranch: z.string().nullish(),
  template: z.string().max(100).nullish(),
  settings: projectSettings.nullish(),
});

export type ProjectInput = z.input<typeof projectInput>;
export type CheckedProject = z.output<typeof projectInput>;

export interface ProjectDeps {
  readonly db: Database;
  readonly masterKey: MasterKey;
  readonly templates: TemplateCatalogue;
  readonly providers: readonly string[];
  readonly config: Pick<Config, 'localRepositories' | 'callbackAllowPrivate'>;
}

/** Throws InvalidInputError with every issue; paths begin with `path`. */
export function checkProject(
  deps: Omit<ProjectDeps, 'db' | 'masterKey'>,
  input: ProjectInput,
  path: readonly string[],
): CheckedProject {
  const parsed = projectInput.safeParse(input);
  if (!parsed.success) {
    throw new InvalidInputError(
      parsed.error.issues.map((issue) => ({ path: [...path, ...issue.path.map(String)], message: issue.message })),
    );
  }
  const project = parsed.data;
  const issues: { path: string[]; message: string }[] = [];
  const refuse = (message: string | null | undefined, ...at: string[]) => {
    if (message) issues.push({ path: [...path, ...at], message });
  };
  if (project.repositoryUrl) refuse(repositoryProblem(deps.config, project.repositoryUrl), 'repositoryUrl');
  if (project.gitCredentials && !/^https?:/.test(project.repositoryUrl ?? '')) {
    refuse('Credentials are only used with an http or https repository URL.', 'gitCredentials');
  }
  if (project.defaultBranch) refuse(refProblem(project.defaultBranch), 'defaultBranch');
  if (project.template && !findTemplate(deps.templates, project.template)) {
    refuse(`There is no template ${project.template}.`, 'template');
  }
  const { provider, callbackUrl } = project.settings ?? {};
  if (provider && !deps.providers.includes(provider)) {
    refuse(`There is no provider ${provider}. Known: ${deps.providers.join(', ')}.`, 'settings', 'provider');
  }
  if (callbackUrl) {
    const allowPrivate = deps.config.callbackAllowPrivate ?? false;
    refuse(outboundUrlProblem(callbackUrl, { allowPrivate }), 'settings', 'callbackUrl');
  }
  if (issues.length > 0) throw new InvalidInputError(issues);
  return project;
}

function repositoryProblem(config: ProjectDeps['config'], url: string): string | null {
  if (isLocalPath(url) && !config.localRepositories) {
    return 'Repositories on this machine are switched off (SLIPWAY_LOCAL_REPOSITORIES).';
  }
  return repositoryUrlProblem(url);
}

/** Throws InvalidInputError, or ConflictError when the slug is taken. */
export async function createProject(deps: ProjectDeps, input: ProjectInput, actor: string): Promise<Project> {
  const checked = checkProject(deps, input, ['input']);
  return deps.db.transaction().execute(async (trx) => {
    const project = await insertProject(trx, deps, {
      project: checked,
      actor,
      action: 'createProject',
      creation: null,
    });
    if (!project) throw new Error('a project without a creation key cannot be there already');
    return project;
  });
}

export interface NewProject {
  readonly project: CheckedProject;
  readonly actor: string;
  readonly action: string;
  /** Makes the creation idempotent for this actor. */
  readonly creation: { readonly key: string; readonly hash: string } | null;
}

/** In the caller's transaction; null when this actor has created a project with this key before. */
export async function insertProject(
  trx: DatabaseTransaction,
  deps: Pick<ProjectDeps, 'masterKey' | 'templates'>,
  { project, actor, action, creation }: NewProject,
): Promise<Project | null> {
  const slug = project.slug ?? slugOf(project.name);
  const template = project.template ? findTemplate(deps.templates, project.template) : null;
  const row = await trx
    .insertInto('projects')
    .values({
      id: v7(),
      slug,
      name: project.name,
      repository_url: project.repositoryUrl ?? null,
      default_branch: project.defaultBranch ?? 'main',
      template: template ? templateReference(template) : null,
      settings: JSON.stringify(project.settings ?? {}),
      created_by: actor,
      creation_key: creation?.key ?? null,
      creation_hash: creation?.hash ?? null,
    })
    .onConflict((conflict) => conflict.columns(['created_by', 'creation_key']).doNothing())
    .returningAll()
    .executeTakeFirst()
    .catch((error: unknown) => {
      if (!isUniqueViolation(error, 'projects_slug')) throw error;
      throw new ConflictError(`There is already a project with the slug ${slug}. Choose another name or give a slug.`);
    });
  if (!row) return null;
  if (project.gitCredentials) {
    const value = JSON.stringify(project.gitCredentials);
    await setCredential({ db: trx, masterKey: deps.masterKey }, { projectId: row.id, name: GIT_CREDENTIAL, value });
  }
  await audit(trx, { actor, action, subjectType: 'project', subjectId: row.id, projectId: row.id });
  return toProject(row);
}

function slugOf(name: string): string {
  const slug = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return slug || 'project';
}
