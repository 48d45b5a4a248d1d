/** Changes to a project that exists. */
import type { z } from 'zod';
import { setCredential } from '../credentials/credential.ts';
import { audit } from '../database/audit.ts';
import { InvalidInputError, NotFoundError } from '../errors.ts';
import { toPublicId } from '../std/public-id.ts';
import { checkProject, GIT_CREDENTIAL, type ProjectDeps, projectInput } from './create-project.ts';
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
    const settings = { ...project.settings, ...changed, ...limits };
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
    if (checked.gitCredentials) {
      const value = JSON.stringify(checked.gitCredentials);
      await setCredential({ db: trx, masterKey: deps.masterKey }, { projectId: row.id, name: GIT_CREDENTIAL, value });
    } else if (originOf(row.repository_url) !== originOf(project.repositoryUrl)) {
      // Credentials were given for one host: whoever changes the URL must not have them sent to another.
      await trx.deleteFrom('credentials').where('project_id', '=', row.id).where('name', '=', GIT_CREDENTIAL).execute();
    }
    await audit(trx, { actor, action: 'updateProject', subjectType: 'project', subjectId: row.id, projectId: row.id });
    return toProject(row);
  });
}

/** Scheme, host and port; any other kind of address is its own origin. */
function originOf(url: string | null): string | null {
  return url !== null && /^https?:/i.test(url) ? new URL(url).origin : url;
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
