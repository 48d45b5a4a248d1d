/** Starting builds and changing their course. */
import type { Build } from '../src/builds/build.ts';
import { cancelBuild } from '../src/builds/cancel-build.ts';
import { type CreatedBuild, createAndBuild } from '../src/builds/create-and-build.ts';
import { retryBuild } from '../src/builds/retry-build.ts';
import { type StartedBuild, startBuild } from '../src/builds/start-build.ts';
import {
  BudgetExceededError,
  BuildStateError,
  ConflictError,
  IdempotencyConflictError,
  InvalidInputError,
  NotFoundError,
  ProjectNotReadyError,
} from '../src/errors.ts';
import { BuildSpecInputRef } from './build-spec.ts';
import { builder } from './builder.ts';
import { requireBuildId, requireProjectId } from './ids.ts';
import { secretOf } from './project.ts';
import { ProjectInputRef } from './project-mutations.ts';
import { BuildRef, ProjectRef } from './refs.ts';

const KEY_HELP =
  'Names this request, so that sending it again is safe: the same key and input give the first build. At most 255 ' +
  'printable characters.';

const StartBuildInput = builder.inputType('StartBuildInput', {
  description: 'A build of a project.',
  fields: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    spec: t.field({ type: BuildSpecInputRef, required: true, description: 'What to do.' }),
    resumeFrom: t.id({
      description:
        "Go on with the agent's session of this finished build of the project, on its branch. Agent, model, template and " +
        'variables are by default those of that build.',
    }),
    idempotencyKey: t.string({ description: KEY_HELP }),
  }),
});

const CreateAndBuildInput = builder.inputType('CreateAndBuildInput', {
  description: 'A new project and its first build.',
  fields: (t) => ({
    project: t.field({ type: ProjectInputRef, required: true, description: 'The project.' }),
    spec: t.field({ type: BuildSpecInputRef, required: true, description: 'What to do.' }),
    idempotencyKey: t.string({ description: KEY_HELP }),
  }),
});

const CancelBuildInput = builder.inputType('CancelBuildInput', {
  description: 'Which build to end, and why.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The build.' }),
    reason: t.string({ description: 'Shown with the build: at most 1000 characters.' }),
  }),
});

const RetryBuildInput = builder.inputType('RetryBuildInput', {
  description: 'Which build to start again.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The build, which must be finished.' }),
    resumeSession: t.boolean({
      description: "Go on with the agent's session instead of beginning anew; by default false.",
    }),
    idempotencyKey: t.string({ description: KEY_HELP }),
  }),
});

const StartBuildPayload = builder.objectRef<StartedBuild>('StartBuildPayload').implement({
  description: 'The build is accepted: durable, and in the queue.',
  fields: (t) => ({
    build: t.field({ type: BuildRef, description: 'The build.', resolve: ({ build }) => build }),
    deduplicated: t.exposeBoolean('deduplicated', { description: 'It was there before: same key, same input.' }),
  }),
});

const RetryBuildPayload = builder.objectRef<StartedBuild>('RetryBuildPayload').implement({
  description: 'The new build is accepted: durable, and in the queue.',
  fields: (t) => ({
    build: t.field({ type: BuildRef, description: 'The new build.', resolve: ({ build }) => build }),
    deduplicated: t.exposeBoolean('deduplicated', { description: 'It was there before: same key, same input.' }),
  }),
});

const CreateAndBuildPayload = builder.objectRef<CreatedBuild>('CreateAndBuildPayload').implement({
  description: 'The project is made and its build accepted: both or neither.',
  fields: (t) => ({
    project: t.field({ type: ProjectRef, description: 'The new project.', resolve: ({ project }) => project }),
    build: t.field({ type: BuildRef, description: 'Its first build.', resolve: ({ build }) => build }),
    deduplicated: t.exposeBoolean('deduplicated', { description: 'Both were there before: same key, same input.' }),
    callbackSecret: t.string({
      nullable: true,
      description:
        'Signs the callbacks (Standard Webhooks, `whsec_…`); also Project.callbackSecret. Null when a credential of all ' +
        'projects signs them.',
      resolve: ({ project }, _args, context) => secretOf(context, project),
    }),
  }),
});

const CancelBuildPayload = builder.objectRef<Build>('CancelBuildPayload').implement({
  description: 'The end is asked for.',
  fields: (t) => ({
    build: t.field({
      type: BuildRef,
      description: 'CANCELLED when it was waiting; else RUNNING with cancelRequestedAt, until its processes are dead.',
      resolve: (build) => build,
    }),
  }),
});

builder.mutationFields((t) => ({
  startBuild: t.field({
    type: StartBuildPayload,
    description:
      'Let an agent change a project. When this answers, the build is durable. A server in which more than 10,000 wait to be ' +
      'written refuses with the code OVERLOADED: try again after Retry-After.',
    authScopes: { scope: 'builds:write' },
    errors: {
      types: [
        InvalidInputError,
        NotFoundError,
        BuildStateError,
        IdempotencyConflictError,
        ProjectNotReadyError,
        BudgetExceededError,
      ],
    },
    args: { input: t.arg({ type: StartBuildInput, required: true, description: 'The build.' }) },
    resolve: async (_root, { input }, context) => {
      const { orchestrator, viewer } = context;
      const projectId = requireProjectId(viewer, input.projectId);
      const resumeFrom = input.resumeFrom ? await requireBuildId(context, input.resumeFrom) : null;
      return startBuild(orchestrator, { ...input, projectId, resumeFrom }, viewer.actor);
    },
  }),
  createAndBuild: t.field({
    type: CreateAndBuildPayload,
    description: 'Make a project and start its first build: both or neither.',
    authScopes: { $all: { scope: 'projects:write', allProjects: true, $all: { scope: 'builds:write' } } },
    errors: { types: [InvalidInputError, ConflictError, IdempotencyConflictError] },
    args: { input: t.arg({ type: CreateAndBuildInput, required: true, description: 'The project and the build.' }) },
    resolve: (_root, { input }, { orchestrator, viewer }) => createAndBuild(orchestrator, input, viewer.actor),
  }),
  cancelBuild: t.field({
    type: CancelBuildPayload,
    description: 'End a build. A waiting build ends at once, a running one when its processes are dead.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError, NotFoundError, BuildStateError] },
    args: { input: t.arg({ type: CancelBuildInput, required: true, description: 'Which build, and why.' }) },
    resolve: async (_root, { input }, context) => {
      const id = await requireBuildId(context, input.id);
      return cancelBuild(context.orchestrator, { ...input, id }, context.viewer.actor);
    },
  }),
  retryBuild: t.field({
    type: RetryBuildPayload,
    description: 'Start a finished build again, as a new build with the same spec.',
    authScopes: { scope: 'builds:write' },
    errors: {
      types: [
        InvalidInputError,
        NotFoundError,
        BuildStateError,
        IdempotencyConflictError,
        ProjectNotReadyError,
        BudgetExceededError,
      ],
    },
    args: { input: t.arg({ type: RetryBuildInput, required: true, description: 'Which build.' }) },
    resolve: async (_root, { input }, context) => {
      const id = await requireBuildId(context, input.id);
      return retryBuild(context.orchestrator, { ...input, id }, context.viewer.actor);
    },
  }),
}));
