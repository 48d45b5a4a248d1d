/** A new project: its row and its git credentials, or nothing. */

import { v7 } from 'uuid';
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import { gitCredentials } from '../credentials/credential-input.ts';
import type { Keyring } from '../credentials/keyring.ts';
import type { SetCredentialDeps } from '../credentials/set-credential.ts';
import { audit } from '../database/audit.ts';
import type { Database, DatabaseTransaction } from '../database/database.ts';
import { isUniqueViolation } from '../database/transient.ts';
import { ConflictError, type InputIssue, InvalidInputError, inputIssues } from '../errors.ts';
import { refProblem } from '../git/ref-name.ts';
import { isLocalPath, remoteHost, repositoryUrlProblem } from '../git/remote-url.ts';
import { outboundUrlProblem, remoteAddressProblem } from '../std/outbound-url.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';
import { sharedCode } from '../std/shared-code.ts';
import { configureQueue } from './configure-queue.ts';
import { keepGitCredentials } from './git-credentials.ts';
import { toNetworkAccess } from './network-input.ts';
import { networkLimit, repositoryLimit } from './pod-limits.ts';
import { type Project, projectSettings, toProject } from './project.ts';
import { findTemplate, type TemplateCatalogue, templateReference } from './template.ts';
import { type WorkspaceRules, workspaceProblems } from './workspace-needs.ts';

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

export interface ProjectDeps extends SetCredentialDeps {
  readonly keyring: Keyring;
  readonly db: Database;
  readonly templates: TemplateCatalogue;
  readonly providers: readonly string[];
  readonly config: Pick<Config, 'localRepositories' | 'callbackAllowPrivate'> & WorkspaceRules;
}

/** Throws InvalidInputError with every issue; paths begin with `path`. */
export function checkProject(
  deps: Omit<ProjectDeps, 'db' | keyof SetCredentialDeps>,
  input: ProjectInput,
  path: readonly string[],
): CheckedProject {
  const parsed = projectInput.safeParse(input);
  if (!parsed.success) {
    const codes = parsed.error.issues.map((issue) => (issue.code === 'custom' ? issue.params?.code : undefined));
    throw new InvalidInputError(inputIssues(parsed.error, path), sharedCode(codes));
  }
  const project = parsed.data;
  const issues: (InputIssue & { code?: string })[] = [];
  const refuse = (message: string | null | undefined, at: readonly string[], code?: string) => {
    if (message) issues.push({ path: [...path, ...at], message, ...(code ? { code } : {}) });
  };
  if (typeof project.repositoryUrl === 'string') {
    refuse(repositoryProblem(deps.config, project.repositoryUrl), ['repositoryUrl'], 'REPOSITORY_URL_DENIED');
  }
  refuse(repositoryLimit(deps.config, project.repositoryUrl ?? null), ['repositoryUrl'], 'REPOSITORY_OUT_OF_REACH');
  if (project.gitCredentials && !/^https?:/.test(project.repositoryUrl ?? '')) {
    refuse('Credentials are only used with an http or https repository URL.', ['gitCredentials']);
  }
  if (typeof project.defaultBranch === 'string') {
    refuse(refProblem(project.defaultBranch), ['defaultBranch'], 'INVALID_REF');
  }
  if (project.template && !findTemplate(deps.templates, project.template)) {
    refuse(`There is no template ${project.template}.`, ['template'], 'UNKNOWN_TEMPLATE');
  }
  const { provider, callbackUrl, network, workspace } = project.settings ?? {};
  if (provider && !deps.providers.includes(provider)) {
    const message = `There is no provider ${provider}. Known: ${deps.providers.join(', ')}.`;
    refuse(message, ['settings', 'provider'], 'UNKNOWN_PROVIDER');
  }
  if (typeof callbackUrl === 'string') {
    const allowPrivate = deps.config.callbackAllowPrivate ?? false;
    refuse(outboundUrlProblem(callbackUrl, { allowPrivate }), ['settings', 'callbackUrl'], 'CALLBACK_URL_DENIED');
  }
  if (network) {
    refuse(networkLimit(deps.config, toNetworkAccess(network)), ['settings', 'network'], 'NETWORK_UNSUPPORTED');
  }
  for (const { field, message, code } of workspaceProblems(deps.config, workspace ?? {})) {
    refuse(message, ['settings', 'workspace', field], code);
  }
  if (issues.length > 0) throw new InvalidInputError(issues, sharedCode(issues.map((issue) => issue.code)));
  return project;
}

function repositoryProblem(config: ProjectDeps['config'], url: string): string | null {
  if (isLocalPath(url) && !config.localRepositories) {
    return 'Repositories on this machine are switched off (SLIPWAY_LOCAL_REPOSITORIES).';
  }
  const problem = repositoryUrlProblem(url);
  if (problem !== null || isLocalPath(url)) return problem;
  return remoteAddressProblem(remoteHost(url).hostname, { allowLocal: config.localRepositories ?? false });
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
  deps: Pick<ProjectDeps, 'templates' | keyof SetCredentialDeps>,
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
    const login = { projectId: row.id, url: row.repository_url, login: project.gitCredentials };
    await keepGitCredentials(trx, deps, { ...login, actor });
  }
  await audit(trx, { actor, action, subjectType: 'project', subjectId: row.id, projectId: row.id });
  if (project.settings?.queue) await configureQueue(trx, row.id, project.settings.queue);
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
