/** The project, and how projects are found. */
import { seesProject } from '../src/auth/viewer.ts';
import type { Spend } from '../src/builds/spend.ts';
import { callbackSecret } from '../src/credentials/callback-secret.ts';
import { InvalidInputError } from '../src/errors.ts';
import { countProjects, listProjects } from '../src/projects/list-projects.ts';
import { findProjectBySlug, type Project, type ProjectSettings } from '../src/projects/project.ts';
import { QUEUE_ALL } from '../src/projects/supersede-input.ts';
import { BuildConnection, childBuilds } from './build.ts';
import { BuildFilterInput, BuildOrderInput, orderDirection, toBuildFilter } from './build-filter.ts';
import { builder, pageComplexity } from './builder.ts';
import { checkText } from './check-text.ts';
import type { Context } from './context.ts';
import { findProjectById } from './ids.ts';
import { NetworkRef } from './network.ts';
import { type PageArguments, pageRequest, toConnection, UUID_CURSOR } from './pagination.ts';
import { BuildRef, ProjectRef } from './refs.ts';
import { SupersedeRef } from './supersede.ts';
import { values } from './vocabulary.ts';
import { WorkspaceRef } from './workspace.ts';

interface Counted {
  readonly totalCount: () => Promise<number>;
}

const ProjectStatusEnum = builder.enumType('ProjectStatus', {
  description: 'Whether a project takes builds.',
  values: values<Project['status']>({
    PROVISIONING: 'What it needs is being made.',
    ACTIVE: 'It takes builds.',
    FAILED: 'What it needs could not be made.',
    ARCHIVED: 'It takes no more builds, and its slug is free.',
  }),
});

type Limits = NonNullable<ProjectSettings['limits']>;

const ProjectLimitsRef = builder.objectRef<Limits>('ProjectLimits').implement({
  description: "Limits that the project's builds have unless they say otherwise; null leaves it to Slipway.",
  fields: (t) => ({
    wallSeconds: t.exposeInt('wallSeconds', {
      nullable: true,
      description: "Seconds from the agent's start to its end.",
    }),
    silenceSeconds: t.exposeInt('silenceSeconds', {
      nullable: true,
      description: 'Seconds without any output of the agent.',
    }),
    lingerSeconds: t.exposeInt('lingerSeconds', {
      nullable: true,
      description: 'Seconds that the agent may live after its last word.',
    }),
    maxRetries: t.exposeInt('maxRetries', {
      nullable: true,
      description: 'Retries in a row of an agent whose provider refuses it or is not reached.',
    }),
    maxTurns: t.exposeInt('maxTurns', { nullable: true, description: 'Turns of the agent.' }),
    maxTokens: t.expose('maxTokens', {
      type: 'SafeInt',
      nullable: true,
      description: 'Input and output tokens in all.',
    }),
    maxCostUsd: t.exposeFloat('maxCostUsd', { nullable: true, description: 'US dollars.' }),
  }),
});

type Budget = NonNullable<ProjectSettings['budget']>;

const ProjectBudgetRef = builder.objectRef<Budget>('ProjectBudget').implement({
  description:
    'What builds may use. A day is one of UTC; with its budget used up no build is started, and those that run end with ' +
    'BUDGET_EXCEEDED. Null means any amount.',
  fields: (t) => ({
    perBuildUsd: t.exposeFloat('perBuildUsd', { nullable: true, description: 'US dollars of one build.' }),
    perDayUsd: t.exposeFloat('perDayUsd', { nullable: true, description: 'US dollars of all builds in a day.' }),
    perDayTokens: t.expose('perDayTokens', {
      type: 'SafeInt',
      nullable: true,
      description: 'Input and output tokens of all builds in a day.',
    }),
  }),
});

type QueueOfProject = NonNullable<ProjectSettings['queue']>;

const ProjectQueueSettingsRef = builder.objectRef<QueueOfProject>('ProjectQueueSettings').implement({
  description: "A project's place among the others in the queue, and what of it may run at the same time.",
  fields: (t) => ({
    maxRunning: t.exposeInt('maxRunning', {
      nullable: true,
      description: 'Builds and tasks that run at the same time; null for any number.',
    }),
    maxRunningPerKey: t.int({
      description: 'Of those with the same concurrency key, where the key has no limit of its own.',
      resolve: ({ maxRunningPerKey }) => maxRunningPerKey ?? 1,
    }),
    weight: t.float({
      description: 'How much of what is free goes to the project while others wait, too: 2 is twice as much as 1.',
      resolve: ({ weight }) => weight ?? 1,
    }),
  }),
});

const ProjectSpendRef = builder.objectRef<Spend>('ProjectSpend').implement({
  description: 'What the builds of a project have used, as their agents report it.',
  fields: (t) => ({
    costUsd: t.exposeFloat('costUsd', { description: 'US dollars, of what is known to have cost something.' }),
    tokens: t.expose('tokens', { type: 'SafeInt', description: 'Input and output tokens.' }),
    unpricedTokens: t.expose('unpricedTokens', {
      type: 'SafeInt',
      description: 'Those of them of which nobody knows what they cost.',
    }),
  }),
});

type SecretScan = NonNullable<ProjectSettings['secretScan']>;

const SecretScanRef = builder.objectRef<SecretScan>('SecretScan').implement({
  description:
    "The search for secrets in what builds would commit. The build's own secrets are looked for in any case.",
  fields: (t) => ({
    enabled: t.boolean({
      description: 'Whether rules for keys and tokens of well-known services are applied.',
      resolve: ({ enabled }) => enabled ?? true,
    }),
    allowPaths: t.field({
      type: ['String'],
      description: 'Globs of files that may hold what looks like a secret.',
      resolve: ({ allowPaths }) => allowPaths ?? [],
    }),
  }),
});

const ProjectSettingsRef = builder.objectRef<ProjectSettings>('ProjectSettings').implement({
  description: "Defaults for the project's builds; a build's own spec goes before them.",
  fields: (t) => ({
    provider: t.exposeString('provider', { nullable: true, description: 'The agent.' }),
    model: t.exposeString('model', { nullable: true, description: "The agent's model." }),
    callbackUrl: t.exposeString('callbackUrl', {
      nullable: true,
      description: 'Who is told about the end of a build.',
    }),
    limits: t.field({
      type: ProjectLimitsRef,
      nullable: true,
      description: 'Where builds are stopped.',
      resolve: (settings) => settings.limits,
    }),
    budget: t.field({
      type: ProjectBudgetRef,
      nullable: true,
      description: 'What builds may use, one of them and all of them in a day.',
      resolve: ({ budget }) => budget,
    }),
    queue: t.field({
      type: ProjectQueueSettingsRef,
      nullable: true,
      description: 'Its place among the others in the queue, and what may run at the same time.',
      resolve: ({ queue }) => queue,
    }),
    network: t.field({
      type: NetworkRef,
      nullable: true,
      description: "What agents may reach; null leaves it to the operator's default.",
      resolve: ({ network }) => network && { ...network, hosts: network.hosts ?? [] },
    }),
    supersede: t.field({
      type: SupersedeRef,
      description: 'What a new build does to the earlier ones of its group.',
      resolve: ({ supersede }) => supersede ?? QUEUE_ALL,
    }),
    artifacts: t.field({
      type: ['String'],
      description: 'Globs of the files that are kept when a build ends.',
      resolve: (settings) => settings.artifacts ?? [],
    }),
    trustRepoConfig: t.boolean({
      description: 'Lets agent configuration in the repository (hooks, MCP servers, plugins) run.',
      resolve: (settings) => settings.trustRepoConfig ?? false,
    }),
    secretScan: t.field({
      type: SecretScanRef,
      description: 'The search for secrets in what builds would commit.',
      resolve: (settings) => settings.secretScan ?? {},
    }),
    workspace: t.field({
      type: WorkspaceRef,
      description: 'What the container of the agent is made of, on Kubernetes.',
      resolve: ({ workspace }) => workspace ?? {},
    }),
    testCommand: t.field({
      type: ['String'],
      description: 'What tasks of the type `test` run: a program and its arguments; empty for nothing.',
      resolve: ({ testCommand }) => testCommand ?? [],
    }),
    testReport: t.string({
      nullable: true,
      description: 'Glob of the reports that it writes, JUnit XML or TAP; null where only its exit code counts.',
      resolve: ({ testReport }) => testReport,
    }),
    deployCommand: t.field({
      type: ['String'],
      description: 'What tasks of the type `deploy` run: a program and its arguments; empty for nothing.',
      resolve: ({ deployCommand }) => deployCommand ?? [],
    }),
    deployManifests: t.field({
      type: ['String'],
      description: 'Globs of the manifests that tasks of the type `deploy` apply where there is no command.',
      resolve: ({ deployManifests }) => deployManifests ?? [],
    }),
  }),
});

/** The derived secret that signs the callbacks of a project's builds; null when a credential signs them. */
export async function secretOf({ orchestrator, loaders }: Context, project: Project): Promise<string | null> {
  if (await loaders.signed.load(project.id)) return null;
  return callbackSecret(orchestrator.keyring, { projectId: project.id, version: project.secretVersion });
}

ProjectRef.implement({
  description: 'A git repository with its settings. Builds, tokens and credentials belong to it.',
  fields: (t) => ({
    slug: t.exposeString('slug', { description: 'Its short name: unique among the projects that are not archived.' }),
    name: t.exposeString('name', { description: 'Its name, for people.' }),
    status: t.field({ type: ProjectStatusEnum, description: 'Whether it takes builds.', resolve: (p) => p.status }),
    repositoryUrl: t.exposeString('repositoryUrl', {
      nullable: true,
      description: 'The git remote; null for a repository that Slipway keeps itself.',
    }),
    defaultBranch: t.exposeString('defaultBranch', { description: 'The branch of builds that name none.' }),
    template: t.exposeString('template', {
      nullable: true,
      description: 'The template of builds that name none: `name@version`.',
    }),
    settings: t.field({ type: ProjectSettingsRef, description: 'Defaults for builds.', resolve: (p) => p.settings }),
    callbackSecret: t.string({
      nullable: true,
      description:
        'Signs the callbacks (Standard Webhooks, `whsec_…`); null when a credential signs them. Needs the scope ' +
        'projects:write.',
      authScopes: { scope: 'projects:write' },
      resolve: (project, _args, context) => secretOf(context, project),
    }),
    spentToday: t.field({
      type: ProjectSpendRef,
      description: 'What its builds have used since midnight UTC.',
      authScopes: { scope: 'builds:read' },
      resolve: ({ id }, _args, { loaders }) => loaders.spentToday.load(id),
    }),
    lastActivityCursor: t.string({
      description: 'Read a project, then follow projectActivity after this cursor: nothing is missed or repeated.',
      resolve: (p) => String(p.activitySeq),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
    archivedAt: t.expose('archivedAt', { type: 'DateTime', nullable: true, description: 'When it was archived.' }),
    builds: t.connection(
      {
        type: BuildRef,
        description: 'Its builds, newest first.',
        authScopes: { scope: 'builds:read' },
        complexity: pageComplexity,
        args: {
          filter: t.arg({ type: BuildFilterInput, description: 'Which ones.' }),
          orderBy: t.arg({ type: BuildOrderInput, description: 'In which order.' }),
        },
        resolve: ({ id }, args, context) =>
          childBuilds(context, id, {
            args,
            direction: orderDirection(args.orderBy),
            query: { by: 'project_id', filter: toBuildFilter(context.viewer, args.filter) },
          }),
      },
      BuildConnection,
    ),
  }),
});

const ProjectFilterInput = builder.inputType('ProjectFilter', {
  description: 'Every member that is present narrows the list.',
  fields: (t) => ({
    search: t.string({ description: 'A part of the name or the slug, in any case.' }),
    archived: t.boolean({ description: 'True: only archived ones. False: only the others. Absent: both.' }),
  }),
});

const ProjectConnection = builder.connectionObject(
  {
    type: ProjectRef,
    name: 'ProjectConnection',
    description: 'One page of projects.',
    fields: (t) => ({
      totalCount: t.int({
        description: 'All projects of the list, on every page.',
        resolve: (connection) => (connection as unknown as Counted).totalCount(),
      }),
    }),
  },
  { name: 'ProjectEdge', description: 'A project in a list.' },
);

builder.queryFields((t) => ({
  project: t.field({
    type: ProjectRef,
    nullable: true,
    description: 'The project with this id or this slug (of those that are not archived); null when there is none.',
    authScopes: { scope: 'builds:read' },
    args: {
      id: t.arg.id({ description: 'Its id: `project_…`.' }),
      slug: t.arg.string({ description: 'Its slug. Give this or the id.' }),
    },
    resolve: async (_root, { id, slug }, context) => {
      if (typeof id === 'string' && typeof slug !== 'string') return findProjectById(context, id);
      if (typeof slug !== 'string' || typeof id === 'string') {
        throw new InvalidInputError([{ path: ['id'], message: 'give either id or slug' }]);
      }
      checkText(slug, ['slug']);
      const project = await findProjectBySlug(context.orchestrator.db, slug);
      return project && seesProject(context.viewer, project.id) ? project : null;
    },
  }),
  projects: t.connection(
    {
      type: ProjectRef,
      description: 'Projects, newest first.',
      authScopes: { scope: 'builds:read' },
      complexity: pageComplexity,
      args: { filter: t.arg({ type: ProjectFilterInput, description: 'Which ones.' }) },
      resolve: (_root, args, context) => allProjects(context, args, args.filter ?? {}),
    },
    ProjectConnection,
  ),
}));

async function allProjects(
  { orchestrator: { db }, viewer }: Context,
  args: PageArguments,
  { search, archived }: typeof ProjectFilterInput.$inferInput,
) {
  checkText(search, ['filter', 'search']);
  const request = pageRequest(args, UUID_CURSOR, 'desc');
  const filter = { ids: viewer.projectIds, search: search ?? null, archived: archived ?? null };
  const rows = await listProjects(db, filter, request.keyset);
  return { ...toConnection(request, rows, (project) => project.id), totalCount: () => countProjects(db, filter) };
}
