/** What a mutation can be refused for: the error members of the result unions. */
import {
  BudgetExceededError,
  BuildStateError,
  ConflictError,
  IdempotencyConflictError,
  type InputIssue,
  InvalidInputError,
  LeaseLostError,
  NotFoundError,
  ProjectNotReadyError,
  type SlipwayError,
  TaskStateError,
} from '../src/errors.ts';
import type { BuildStatus } from '../src/events/vocabulary.ts';
import type { TaskStatus } from '../src/tasks/task.ts';
import { builder, EMBEDDED_LIST } from './builder.ts';
import { BuildRef, TaskRef } from './refs.ts';
import { BuildStatusEnum, TaskStatusEnum } from './vocabulary.ts';

const UserError = builder.interfaceRef<SlipwayError>('UserError').implement({
  description: 'An expected refusal: nothing was changed. Whatever a union adds later implements this too.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'Stable, for programs.' }),
    message: t.exposeString('message', { description: 'One or two sentences, for people.' }),
  }),
});

export const InputIssueRef = builder.objectRef<InputIssue>('InputIssue').implement({
  description: 'One thing that is wrong with what was sent.',
  fields: (t) => ({
    path: t.field({
      type: ['String'],
      description: 'From the root of the arguments: `["input", "spec", "branch"]`.',
      resolve: (issue) => [...issue.path],
    }),
    message: t.exposeString('message', { description: 'What is wrong, or what would be right.' }),
  }),
});

builder.objectType(InvalidInputError, {
  name: 'InvalidInputError',
  description: 'What was sent is not valid. All issues are given at once.',
  interfaces: [UserError],
  fields: (t) => ({
    issues: t.field({
      type: [InputIssueRef],
      description: 'Everything that is wrong.',
      complexity: EMBEDDED_LIST,
      resolve: (error) => [...error.issues],
    }),
  }),
});

builder.objectType(NotFoundError, {
  name: 'NotFoundError',
  description: 'There is no such thing, or this token may not know that there is.',
  interfaces: [UserError],
  fields: (t) => ({ resource: t.exposeString('resource', { description: 'What was looked for: `project`.' }) }),
});

builder.objectType(ConflictError, {
  name: 'ConflictError',
  description: 'The name is taken.',
  interfaces: [UserError],
});

builder.objectType(IdempotencyConflictError, {
  name: 'IdempotencyConflictError',
  description: 'The idempotency key was used before, with another input.',
  interfaces: [UserError],
  fields: (t) => ({
    existing: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that has the key.',
      resolve: (error, _args, { loaders }) => loaders.build.load(error.existingId),
    }),
    existingTask: t.field({
      type: TaskRef,
      nullable: true,
      description: 'The task that has the key; of a build that task which it is.',
      resolve: (error, _args, { loaders }) => loaders.task.load(error.existingId),
    }),
  }),
});

builder.objectType(BuildStateError, {
  name: 'BuildStateError',
  description: 'The build is not in a state that allows this.',
  interfaces: [UserError],
  fields: (t) => ({
    status: t.field({
      type: BuildStatusEnum,
      description: 'The status that the build has.',
      resolve: (error) => error.status as BuildStatus,
    }),
  }),
});

builder.objectType(TaskStateError, {
  name: 'TaskStateError',
  description: 'The task is not in a state that allows this.',
  interfaces: [UserError],
  fields: (t) => ({
    status: t.field({
      type: TaskStatusEnum,
      description: 'The status that the task has.',
      resolve: (error) => error.status as TaskStatus,
    }),
  }),
});

builder.objectType(LeaseLostError, {
  name: 'LeaseLostError',
  description:
    'The lease has ended: it has run out, was given up, or another worker has the task. Nothing was changed.',
  interfaces: [UserError],
  fields: (t) => ({
    status: t.field({
      type: TaskStatusEnum,
      description: 'The status that the task has now.',
      resolve: (error) => error.status as TaskStatus,
    }),
  }),
});

builder.objectType(BudgetExceededError, {
  name: 'BudgetExceededError',
  description: 'The project has used up its budget of the day: `settings.budget`.',
  interfaces: [UserError],
  fields: (t) => ({
    resetsAt: t.expose('resetsAt', { type: 'DateTime', description: 'When the next day begins: midnight UTC.' }),
  }),
});

builder.objectType(ProjectNotReadyError, {
  name: 'ProjectNotReadyError',
  description: 'The project cannot take builds as it is.',
  interfaces: [UserError],
});
