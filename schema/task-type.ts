/** Types of tasks. */
import { InvalidInputError, NotFoundError } from '../src/errors.ts';
import { toPublicId } from '../src/std/public-id.ts';
import { deleteTaskType, listTaskTypes, setTaskType, type TaskType } from '../src/tasks/task-type.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { requireProjectId, visibleProjectIds } from './ids.ts';
import { ProjectRef } from './refs.ts';

const TaskTypeRef = builder.objectRef<TaskType>('TaskType').implement({
  description: 'A type of tasks, and what their payloads look like.',
  fields: (t) => ({
    id: t.id({
      nullable: true,
      description: '`tasktype_…`; null for a type of Slipway itself.',
      resolve: ({ id }) => (id === null ? null : toPublicId('tasktype', id)),
    }),
    name: t.exposeString('name', { description: 'Its name.' }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The project whose type it is; null: every project that has none of this name itself.',
      resolve: ({ projectId }, _args, { loaders }) => (projectId === null ? null : loaders.project.load(projectId)),
    }),
    schema: t.field({
      type: 'JSON',
      description: 'The JSON Schema (2020-12) of the payload.',
      resolve: ({ schema }) => schema,
    }),
    updatedAt: t.expose('updatedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was made, or its schema was replaced; null for a type of Slipway itself.',
    }),
  }),
});

const SetTaskTypeInput = builder.inputType('SetTaskTypeInput', {
  description: 'A type of tasks.',
  fields: (t) => ({
    projectId: t.id({ description: 'The project; absent: all projects, for a token that is not limited to some.' }),
    name: t.string({ required: true, description: 'a-z, 0-9 and `. _ -`, at most 63; not `build`, `test`, `deploy`.' }),
    schema: t.field({
      type: 'JSON',
      required: true,
      description:
        'The JSON Schema (2020-12) of its payloads: at most 64 KiB, with references into itself only. `{}` takes any.',
    }),
  }),
});

const DeleteTaskTypeInput = builder.inputType('DeleteTaskTypeInput', {
  description: 'Which type to delete.',
  fields: (t) => ({
    projectId: t.id({ description: 'The project; absent: the type of all projects.' }),
    name: t.string({ required: true, description: 'Its name.' }),
  }),
});

const payload = (name: string, description: string) =>
  builder.objectRef<TaskType>(name).implement({
    description,
    fields: (t) => ({ taskType: t.field({ type: TaskTypeRef, description: 'The type.', resolve: (type) => type }) }),
  });

const SetTaskTypePayload = payload(
  'SetTaskTypePayload',
  'The type is there: what is queued already is not checked again.',
);
const DeleteTaskTypePayload = payload('DeleteTaskTypePayload', 'The type is gone: what is queued of it stays.');

/** Null: of all projects. */
function ownerOf({ viewer }: Context, projectId: string | null | undefined): string | null {
  return projectId === null || projectId === undefined ? null : requireProjectId(viewer, projectId);
}

/** What belongs to all projects is not for a token that is limited to some. */
const scopeOf = ({ input }: { readonly input: { readonly projectId?: string | null | undefined } }) =>
  input.projectId ? { scope: 'tasks:write' as const } : { $all: { scope: 'tasks:write' as const, allProjects: true } };

builder.queryField('taskTypes', (t) =>
  t.field({
    type: [TaskTypeRef],
    description: 'The types of tasks: those of Slipway itself, those of all projects, and those of projects.',
    authScopes: { scope: 'tasks:read' },
    args: { projectId: t.arg.id({ description: 'Only what this project can use.' }) },
    resolve: (_root, { projectId }, { viewer, orchestrator: { db } }) =>
      listTaskTypes(db, { projectIds: visibleProjectIds(viewer, projectId) }),
  }),
);

builder.mutationFields((t) => ({
  setTaskType: t.field({
    type: SetTaskTypePayload,
    description: 'Make a type of tasks, or replace its schema.',
    authScopes: (_root, args) => scopeOf(args),
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: SetTaskTypeInput, required: true, description: 'The type.' }) },
    resolve: (_root, { input }, context) =>
      setTaskType(
        context.orchestrator,
        { ...input, schema: input.schema, projectId: ownerOf(context, input.projectId) },
        context.viewer.actor,
      ),
  }),
  deleteTaskType: t.field({
    type: DeleteTaskTypePayload,
    description: 'Delete a type of tasks.',
    authScopes: (_root, args) => scopeOf(args),
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: DeleteTaskTypeInput, required: true, description: 'Which type.' }) },
    resolve: (_root, { input }, context) =>
      deleteTaskType(
        context.orchestrator,
        { ...input, projectId: ownerOf(context, input.projectId) },
        context.viewer.actor,
      ),
  }),
}));
