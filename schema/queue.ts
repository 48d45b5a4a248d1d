/** The queue's limits and pauses, of all and of a project. */

import type { Build } from '../src/builds/build.ts';
import { setBuildPriority } from '../src/builds/set-build-priority.ts';
import { BuildStateError, InvalidInputError, NotFoundError } from '../src/errors.ts';
import { pauseProject, resumeProject, setKeyLimit, updateQueue } from '../src/queue/change-queue.ts';
import { type KeyState, MAX_KEYS, type QueueSettings, readQueueSettings } from '../src/queue/read-queue.ts';
import { builder } from './builder.ts';
import { requireBuildId, requireProject, requireProjectId } from './ids.ts';
import { BuildRef, ProjectRef } from './refs.ts';

const QueueSettingsRef = builder.objectRef<QueueSettings>('QueueSettings').implement({
  description: 'What holds for all that waits.',
  fields: (t) => ({
    pausedAt: t.expose('pausedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when nothing starts; null when work starts.',
    }),
    pausedBy: t.exposeString('pausedBy', { nullable: true, description: 'Who has paused it.' }),
    maxRunning: t.exposeInt('maxRunning', {
      nullable: true,
      description: 'Builds and tasks that run at the same time in all; null for any number.',
    }),
  }),
});

const ConcurrencyKeyRef = builder.objectRef<KeyState>('ConcurrencyKey').implement({
  description: 'Builds and tasks of a project that share a key.',
  fields: (t) => ({
    name: t.exposeString('key', { description: 'The key.' }),
    maxRunning: t.exposeInt('maxRunning', { description: 'Of them run at the same time.' }),
    running: t.exposeInt('running', { description: 'Of them run now, or have ended a moment ago.' }),
  }),
});

builder.objectFields(ProjectRef, (t) => ({
  pausedAt: t.field({
    type: 'DateTime',
    nullable: true,
    description: 'Since when nothing of the project starts; null when work starts.',
    resolve: async ({ id }, _args, { loaders }) => (await loaders.projectQueue.load(id))?.pausedAt,
  }),
  pausedBy: t.string({
    nullable: true,
    description: 'Who has paused it.',
    resolve: async ({ id }, _args, { loaders }) => (await loaders.projectQueue.load(id))?.pausedBy,
  }),
  concurrencyKeys: t.field({
    type: [ConcurrencyKeyRef],
    description: `Keys with a limit of their own, and those that have something running, by name: at most ${MAX_KEYS}.`,
    complexity: { field: 1, multiplier: 20 },
    resolve: async ({ id }, _args, { loaders }) => [...((await loaders.projectQueue.load(id))?.keys ?? [])],
  }),
}));

const PauseProjectInput = builder.inputType('PauseProjectInput', {
  description: 'Which project to pause.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The project.' }) }),
});

const ResumeProjectInput = builder.inputType('ResumeProjectInput', {
  description: 'Which project goes on.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The project.' }) }),
});

const SetKeyLimitInput = builder.inputType('SetKeyLimitInput', {
  description: 'How many builds and tasks with a key may run at the same time.',
  fields: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    key: t.string({ required: true, description: 'The concurrency key: at most 200 characters.' }),
    maxRunning: t.int({ description: '1 to 100000; null leaves it to the settings of the project.' }),
  }),
});

const UpdateQueueInput = builder.inputType('UpdateQueueInput', {
  description: 'What to change; what is absent stays.',
  fields: (t) => ({
    paused: t.boolean({ description: 'True: nothing starts, what runs goes on, and builds are accepted.' }),
    maxRunning: t.int({ description: 'Builds and tasks at the same time, 0 to 100000; null for any number.' }),
  }),
});

const SetBuildPriorityInput = builder.inputType('SetBuildPriorityInput', {
  description: 'The new priority of a build that waits.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The build.' }),
    priority: t.int({ required: true, description: 'Higher goes first: -100 to 100, each worth a minute of waiting.' }),
  }),
});

/** A payload with the project as it is now. */
function projectPayload(name: string, description: string) {
  return builder.objectRef<{ readonly id: string }>(name).implement({
    description,
    fields: (t) => ({
      project: t.field({
        type: ProjectRef,
        description: 'As it is now.',
        resolve: ({ id }, _args, context) => requireProject(context, id),
      }),
    }),
  });
}

const PauseProjectPayload = projectPayload('PauseProjectPayload', 'Nothing of the project starts; what runs goes on.');
const ResumeProjectPayload = projectPayload('ResumeProjectPayload', 'The project goes on.');
const SetKeyLimitPayload = projectPayload('SetKeyLimitPayload', 'The limit holds for what begins from now on.');

const UpdateQueuePayload = builder.objectRef<QueueSettings>('UpdateQueuePayload').implement({
  description: 'It holds for what begins from now on.',
  fields: (t) => ({
    queue: t.field({ type: QueueSettingsRef, description: 'As it is now.', resolve: (settings) => settings }),
  }),
});

const SetBuildPriorityPayload = builder.objectRef<Build>('SetBuildPriorityPayload').implement({
  description: 'The build has its new place in the queue.',
  fields: (t) => ({
    build: t.field({ type: BuildRef, description: 'As it is now.', resolve: (build) => build }),
  }),
});

builder.queryField('queue', (t) =>
  t.field({
    type: QueueSettingsRef,
    description: 'What holds for all that waits. How the queue is doing is `queueStats`.',
    authScopes: { scope: 'builds:read' },
    resolve: (_root, _args, { orchestrator: { db } }) => readQueueSettings(db),
  }),
);

builder.mutationFields((t) => ({
  pauseProject: t.field({
    type: PauseProjectPayload,
    description: 'Nothing of the project starts until it is resumed; what runs goes on. Doing it twice is fine.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: PauseProjectInput, required: true, description: 'Which project.' }) },
    resolve: async (_root, { input }, { orchestrator, viewer }) => {
      const projectId = requireProjectId(viewer, input.id);
      await pauseProject(orchestrator, projectId, viewer.actor);
      return { id: input.id };
    },
  }),
  resumeProject: t.field({
    type: ResumeProjectPayload,
    description: 'Work of the project starts again. Doing it twice is fine.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: ResumeProjectInput, required: true, description: 'Which project.' }) },
    resolve: async (_root, { input }, { orchestrator, viewer }) => {
      const projectId = requireProjectId(viewer, input.id);
      await resumeProject(orchestrator, projectId, viewer.actor);
      return { id: input.id };
    },
  }),
  setKeyLimit: t.field({
    type: SetKeyLimitPayload,
    description: 'Limit how many builds and tasks with a concurrency key run at the same time.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: SetKeyLimitInput, required: true, description: 'The limit.' }) },
    resolve: async (_root, { input }, { orchestrator, viewer }) => {
      const projectId = requireProjectId(viewer, input.projectId);
      const limit = { projectId, key: input.key, maxRunning: input.maxRunning ?? null };
      await setKeyLimit(orchestrator, limit, viewer.actor);
      return { id: input.projectId };
    },
  }),
  updateQueue: t.field({
    type: UpdateQueuePayload,
    description: 'Pause everything or let it go on, and limit how much runs at the same time in all.',
    authScopes: { $all: { scope: 'admin', allProjects: true } },
    errors: { types: [InvalidInputError] },
    args: { input: t.arg({ type: UpdateQueueInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, { orchestrator, viewer }) => {
      await updateQueue(orchestrator, input, viewer.actor);
      return readQueueSettings(orchestrator.db);
    },
  }),
  setBuildPriority: t.field({
    type: SetBuildPriorityPayload,
    description: 'Let a build that waits go before others, or behind them.',
    authScopes: { scope: 'builds:write' },
    errors: { types: [InvalidInputError, NotFoundError, BuildStateError] },
    args: { input: t.arg({ type: SetBuildPriorityInput, required: true, description: 'Its priority.' }) },
    resolve: async (_root, { input }, context) => {
      const id = await requireBuildId(context, input.id);
      return setBuildPriority(context.orchestrator, { id, priority: input.priority }, context.viewer.actor);
    },
  }),
}));
