/** Changes to projects. */
import { ConflictError, InvalidInputError, NotFoundError } from '../src/errors.ts';
import { QUEUE_TOPIC } from '../src/events/topics.ts';
import { archiveProject, type ProjectChanges, updateProject } from '../src/projects/change-project.ts';
import { createProject, type ProjectInput } from '../src/projects/create-project.ts';
import type { Project } from '../src/projects/project.ts';
import { LimitsInput } from './build-spec.ts';
import { builder } from './builder.ts';
import { requireProjectId } from './ids.ts';
import { NetworkInput } from './network.ts';
import { secretOf } from './project.ts';
import { ProjectRef } from './refs.ts';
import { SupersedeInput } from './supersede.ts';
import { WorkspaceInput } from './workspace.ts';

const GitCredentialsInput = builder
  .inputRef<NonNullable<ProjectInput['gitCredentials']>>('GitCredentialsInput')
  .implement({
    description: 'For an http or https remote. Kept sealed and never given back.',
    fields: (t) => ({
      username: t.string({ required: true, description: 'The user; many hosts take any name with a token.' }),
      password: t.string({ required: true, description: 'The password or token.' }),
    }),
  });

const SecretScanInput = builder
  .inputRef<NonNullable<NonNullable<ProjectInput['settings']>['secretScan']>>('SecretScanInput')
  .implement({
    description:
      'The search for secrets in what builds would commit: a build that finds one fails with SECRET_DETECTED.',
    fields: (t) => ({
      enabled: t.boolean({
        description: "False looks for the build's own secrets only; by default true.",
      }),
      allowPaths: t.stringList({
        description: 'Globs of files that may hold what looks like a secret, such as `test/fixtures/**`; at most 50.',
      }),
    }),
  });

const ProjectBudgetInput = builder
  .inputRef<NonNullable<NonNullable<ProjectInput['settings']>['budget']>>('ProjectBudgetInput')
  .implement({
    description: 'What builds may use; null takes a limit away. Tokens are input and output, a day is one of UTC.',
    fields: (t) => ({
      perBuildUsd: t.float({ description: 'US dollars of one build: more cannot be asked for. At most 10000.' }),
      perDayUsd: t.float({ description: 'US dollars of all builds in a day: at most 1000000.' }),
      perDayTokens: t.field({ type: 'SafeInt', description: 'Tokens of all builds in a day: at most 1000000000000.' }),
    }),
  });

const ProjectQueueInput = builder
  .inputRef<NonNullable<NonNullable<ProjectInput['settings']>['queue']>>('ProjectQueueInput')
  .implement({
    description: 'What of a project may run at the same time, and its share of what is free.',
    fields: (t) => ({
      maxRunning: t.int({ description: 'Builds and tasks at the same time, 0 to 100000; null for any number.' }),
      maxRunningPerKey: t.int({ description: 'Of those with the same concurrency key, 1 to 100000; by default 1.' }),
      weight: t.float({ description: 'Its share while others wait, too: 0.01 to 1000, by default 1.' }),
    }),
  });

const ProjectSettingsInput = builder.inputRef<NonNullable<ProjectInput['settings']>>('ProjectSettingsInput').implement({
  description: "Defaults for the project's builds.",
  fields: (t) => ({
    provider: t.string({ description: 'The agent: `claude-code`, `scripted`.' }),
    model: t.string({ description: "The agent's model." }),
    callbackUrl: t.string({ description: 'Who is told about the end of a build, by signed HTTP.' }),
    limits: t.field({ type: LimitsInput, description: 'Where builds are stopped.' }),
    budget: t.field({
      type: ProjectBudgetInput,
      description: 'What builds may use; members that are absent stay.',
    }),
    queue: t.field({
      type: ProjectQueueInput,
      description: 'What may run at the same time, and its share; members that are absent stay.',
    }),
    network: t.field({ type: NetworkInput, description: 'What agents may reach.' }),
    supersede: t.field({
      type: SupersedeInput,
      description: 'What a new build does to the earlier ones of its group; by default QUEUE.',
    }),
    artifacts: t.stringList({ description: 'Globs of the files that are kept when a build ends, at most 50.' }),
    trustRepoConfig: t.boolean({
      description: 'Lets agent configuration in the repository (hooks, MCP servers, plugins) run; by default false.',
    }),
    secretScan: t.field({
      type: SecretScanInput,
      description: 'The search for secrets in what builds would commit; members that are absent stay.',
    }),
    workspace: t.field({
      type: WorkspaceInput,
      description: 'What the container of the agent is made of, on Kubernetes; members that are absent stay.',
    }),
    testCommand: t.stringList({
      description: 'What tasks of the type `test` run: a program and its arguments, which no shell reads.',
    }),
    testReport: t.string({ description: 'Glob of the reports that it writes, JUnit XML or TAP.' }),
    deployCommand: t.stringList({
      description: 'What tasks of the type `deploy` run, with the credential of their environment; no shell reads it.',
    }),
    deployManifests: t.stringList({
      description:
        'Globs of the manifests that tasks of the type `deploy` apply where there is no command, at most 20.',
    }),
  }),
});

export const ProjectInputRef = builder.inputRef<ProjectInput>('ProjectInput').implement({
  description: 'A new project.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Its name, for people: at most 100 characters.' }),
    slug: t.string({ description: 'Its short name: lower-case letters, digits and `-`; by default from the name.' }),
    repositoryUrl: t.string({
      description:
        'The git remote: https, http, ssh, or a path where that is allowed. Without it Slipway keeps one; builds on Kubernetes need it.',
    }),
    gitCredentials: t.field({ type: GitCredentialsInput, description: 'What the remote asks for.' }),
    defaultBranch: t.string({ description: 'The branch of builds that name none; by default `main`.' }),
    template: t.string({ description: 'The template of builds that name none: `name` or `name@version`.' }),
    settings: t.field({ type: ProjectSettingsInput, description: 'Defaults for builds.' }),
  }),
});

type UpdateInput = Omit<ProjectChanges, 'name'> & { readonly id: string; readonly name?: string | null };

const UpdateProjectInput = builder.inputRef<UpdateInput>('UpdateProjectInput').implement({
  description: 'What to change; what is absent stays.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The project.' }),
    name: t.string({ description: 'Its name, for people; null leaves it as it is.' }),
    repositoryUrl: t.string({ description: 'The git remote.' }),
    gitCredentials: t.field({ type: GitCredentialsInput, description: 'What the remote asks for.' }),
    defaultBranch: t.string({ description: 'The branch of builds that name none.' }),
    template: t.string({ description: 'The template of builds that name none; null for none.' }),
    settings: t.field({
      type: ProjectSettingsInput,
      description: 'Defaults for builds; members that are absent stay.',
    }),
  }),
});

const ArchiveProjectInput = builder.inputType('ArchiveProjectInput', {
  description: 'Which project to archive.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The project.' }) }),
});

const CreateProjectPayload = builder.objectRef<Project>('CreateProjectPayload').implement({
  description: 'The project was made.',
  fields: (t) => ({
    project: t.field({ type: ProjectRef, description: 'The new project.', resolve: (project) => project }),
    callbackSecret: t.string({
      nullable: true,
      description:
        'Signs the callbacks (Standard Webhooks, `whsec_…`); also Project.callbackSecret. Null when a credential of all ' +
        'projects signs them.',
      resolve: (project, _args, context) => secretOf(context, project),
    }),
  }),
});

const UpdateProjectPayload = builder.objectRef<Project>('UpdateProjectPayload').implement({
  description: 'The project was changed.',
  fields: (t) => ({
    project: t.field({ type: ProjectRef, description: 'As it is now.', resolve: (project) => project }),
  }),
});

const ArchiveProjectPayload = builder.objectRef<Project>('ArchiveProjectPayload').implement({
  description: 'The project is archived.',
  fields: (t) => ({
    project: t.field({ type: ProjectRef, description: 'As it is now.', resolve: (project) => project }),
  }),
});

builder.mutationFields((t) => ({
  createProject: t.field({
    type: CreateProjectPayload,
    description:
      'Make a project. Without a repository URL it gets a bare repository that Slipway keeps, where builds do not run on Kubernetes.',
    authScopes: { $all: { scope: 'projects:write', allProjects: true } },
    errors: { types: [InvalidInputError, ConflictError] },
    args: { input: t.arg({ type: ProjectInputRef, required: true, description: 'The project.' }) },
    resolve: (_root, { input }, { orchestrator, viewer }) => createProject(orchestrator, input, viewer.actor),
  }),
  updateProject: t.field({
    type: UpdateProjectPayload,
    description: 'Change a project. Builds that were accepted keep the spec they have.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: UpdateProjectInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input: { id, ...input } }, { orchestrator, viewer }) => {
      const changes = { ...input, name: input.name ?? undefined };
      const project = await updateProject(orchestrator, { id: requireProjectId(viewer, id), changes }, viewer.actor);
      // What its limits have held back may start.
      if (input.settings && 'queue' in input.settings) orchestrator.hub.announce(QUEUE_TOPIC);
      return project;
    },
  }),
  archiveProject: t.field({
    type: ArchiveProjectPayload,
    description: 'Take no more builds for a project; those that wait or run go on. Doing it twice is fine.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: ArchiveProjectInput, required: true, description: 'Which project.' }) },
    resolve: (_root, { input }, { orchestrator, viewer }) =>
      archiveProject(orchestrator, requireProjectId(viewer, input.id), viewer.actor),
  }),
}));
