/** Changes to a project that exists. */
import type { z } from 'zod';
import { audit } from '../database/audit.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import { webOrigin } from '../git/remote-url.ts';
import { toPublicId } from '../std/public-id.ts';
import { configureQueue } from './configure-queue.ts';
import { checkProject, type ProjectDeps, projectInput } from './create-project.ts';
import { dropForeignGitCredentials, keepGitCredentials } from './git-credentials.ts';
import { findProject, type Project, toProject } from './project.ts';
import { findTemplate, templateReference } from './template.ts';

const projectChanges = projectInput.omit({ slug: true }).partial();

/** What to change; what is absent stays. `settings` replaces the settings member by member. */
export type ProjectChanges = z.input<typeof projectChanges>;

/** Throws InvalidInputError or NotFoundError. */
export async function updateProject(
  deps: ProjectDeps,
  input: { readonly id: string; readonly changes: ProjectChanges },
  actor: string,
): Promise<Project> {
  const present = Object.fromEntries(Object.entries(input.changes).filter(([, value]) => value !== undefined));
  return deps.db.transaction().execute(async (trx) => {
    await trx.selectFrom('projects').select('id').where('id', '=', input.id).forNoKeyUpdate().execute();
    const project = await findProject(trx, input.id);
    if (!project || project.status === 'ARCHIVED') throw new NotFoundError('project', toPublicId('project', input.id));
    if ('repositoryUrl' in present && present.repositoryUrl === null) {
      throw new InvalidInputError([
        { path: ['input', 'repositoryUrl'], message: 'A repository URL cannot be removed.' },
      ]);
    }
    const changed = input.changes.settings;
    const limits = changed?.limits ? { limits: { ...project.settings.limits, ...changed.limits } } : {};
    const scan = changed?.secretScan ? { secretScan: { ...project.settings.secretScan, ...changed.secretScan } } : {};
    const budget = changed?.budget ? { budget: { ...project.settings.budget, ...changed.budget } } : {};
    const workspace = changed?.workspace ? { workspace: { ...project.settings.workspace, ...changed.workspace } } : {};
    const queue = changed?.queue ? { queue: { ...project.settings.queue, ...changed.queue } } : {};
    const settings = { ...project.settings, ...changed, ...limits, ...budget, ...scan, ...workspace, ...queue };
    const checked = checkProject(
      deps,
      {
        name: project.name,
        repositoryUrl: project.repositoryUrl,
        defaultBranch: project.defaultBranch,
        template: project.template,
        ...present,
        settings,
      },
      ['input'],
    );
    const template = checked.template ? findTemplate(deps.templates, checked.template) : null;
    const row = await trx
      .updateTable('projects')
      .set({
        name: checked.name,
        repository_url: checked.repositoryUrl ?? null,
        default_branch: checked.defaultBranch ?? project.defaultBranch,
        template: template ? templateReference(template) : null,
        settings: JSON.stringify(settings),
        updated_at: new Date(),
      })
      .where('id', '=', input.id)
      .returningAll()
      .executeTakeFirstOrThrow();
    const url = row.repository_url;
    if (checked.gitCredentials) {
      await keepGitCredentials(trx, deps, { projectId: row.id, url, login: checked.gitCredentials, actor });
    } else if (url !== project.repositoryUrl) {
      // Credentials were given for one host: whoever changes the URL must not have them sent to another.
      await dropForeignGitCredentials(trx, { projectId: row.id, origin: webOrigin(url), actor });
    }
    await audit(trx, {
      actor,
      action: 'updateProject',
      subjectType: 'project',
      subjectId: row.id,
      projectId: row.id,
      detail: { changed: Object.keys(present) },
    });
    if (changed && 'queue' in changed) await configureQueue(trx, row.id, settings.queue);
    return toProject(row);
  });
}

/** The project takes no more builds; those that are waiting or running go on. Archiving twice is fine. */
export async function archiveProject(deps: Pick<ProjectDeps, 'db'>, id: string, actor: string): Promise<Project> {
  return deps.db.transaction().execute(async (trx) => {
    const row = await trx
      .updateTable('projects')
      .set({ status: 'ARCHIVED', archived_at: new Date(), updated_at: new Date() })
      .where('id', '=', id)
      .where('status', '!=', 'ARCHIVED')
      .returningAll()
      .executeTakeFirst();
    if (!row) {
      const archived = await findProject(trx, id);
      if (!archived) throw new NotFoundError('project', toPublicId('project', id));
      return archived;
    }
    await audit(trx, { actor, action: 'archiveProject', subjectType: 'project', subjectId: id, projectId: id });
    return toProject(row);
  });
}
