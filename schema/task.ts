/** Tasks, what has happened to them, and how they are doing. */
import { can, type Viewer } from '../src/auth/viewer.ts';
import { listTasks, type TaskFilter } from '../src/tasks/list-tasks.ts';
import type { RetryRule, Task, TaskFailure } from '../src/tasks/task.ts';
import type { TaskEvent } from '../src/tasks/task-events.ts';
import { readTaskStats, type TaskStats } from '../src/tasks/task-stats.ts';
import { DateTimeRangeInput, orderDirection } from './build-filter.ts';
import { LabelInput, LabelRef } from './build-spec.ts';
import { builder, EMBEDDED_LIST, pageComplexity } from './builder.ts';
import { checkText } from './check-text.ts';
import { findTaskById, visibleProjectIds } from './ids.ts';
import { STATS_COMPLEXITY } from './limits.ts';
import { NUMBER_CURSOR, pageRequest, toConnection, UUID_CURSOR } from './pagination.ts';
import { BuildRef, DeliveryRef, ProjectRef, TaskRef } from './refs.ts';
import { OrderDirectionEnum, TaskEventTypeEnum, TaskStatusEnum } from './vocabulary.ts';

const TaskFailureRef = builder.objectRef<TaskFailure>('TaskFailure').implement({
  description: 'Why an attempt has failed.',
  fields: (t) => ({
    reason: t.exposeString('reason', { description: 'As the worker says; at most 4 KiB.' }),
    retryable: t.exposeBoolean('retryable', { description: 'Another attempt may help.' }),
  }),
});

const TaskRetryRef = builder.objectRef<RetryRule>('TaskRetry').implement({
  description: 'What follows an attempt that failed.',
  fields: (t) => ({
    maxAttempts: t.exposeInt('maxAttempts', { description: 'When so many have failed, the task has.' }),
    backoffSeconds: t.exposeInt('backoffSeconds', {
      description: 'The pause after the first; each doubles the last one.',
    }),
    maxBackoffSeconds: t.exposeInt('maxBackoffSeconds', { description: 'The longest pause.' }),
  }),
});

export const TaskEventRef = builder.objectRef<TaskEvent>('TaskEvent').implement({
  description: 'One fact about a task. Events are numbered 1, 2, 3 … per task; those of a build task have its numbers.',
  fields: (t) => ({
    cursor: t.string({
      description: "The event's number: for `after` of taskProgress and of Task.events.",
      resolve: ({ seq }) => String(seq),
    }),
    type: t.field({ type: TaskEventTypeEnum, description: 'What happened.', resolve: ({ type }) => type }),
    at: t.expose('at', { type: 'DateTime', description: 'When.' }),
    attempt: t.exposeInt('attemptNo', { description: 'In which attempt; 0 before the first.' }),
    data: t.field({ type: 'JSON', description: 'The details, by the type.', resolve: ({ data }) => data }),
  }),
});

TaskRef.implement({
  description: 'Work for somebody: for programs of yours, or for Slipway. A build is a task of type `build`.',
  fields: (t) => ({
    project: t.field({
      type: ProjectRef,
      description: 'The project.',
      resolve: async ({ projectId }, _args, { loaders }) => {
        const project = await loaders.project.load(projectId);
        if (!project) throw new Error('a task that may be seen belongs to a project that may be seen');
        return project;
      },
    }),
    type: t.exposeString('type', { description: '`build`, `test`, `deploy`, or a type of your own: see taskTypes.' }),
    status: t.field({ type: TaskStatusEnum, description: 'Where it is in its life.', resolve: ({ status }) => status }),
    payload: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What is to be done; of a build its spec.',
      resolve: async ({ id }, _args, { loaders }) => (await loaders.taskDocuments.load(id)).payload,
    }),
    result: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What its worker gave at the end; of a build its result.',
      resolve: async ({ id }, _args, { loaders }) => (await loaders.taskDocuments.load(id)).result,
    }),
    failure: t.field({
      type: TaskFailureRef,
      nullable: true,
      description: 'Of the last attempt that failed; null once it is completed.',
      resolve: ({ failure }) => failure,
    }),
    labels: t.field({
      type: [LabelRef],
      description: 'For filters and statistics.',
      complexity: EMBEDDED_LIST,
      resolve: ({ labels }) => Object.entries(labels).map(([key, value]) => ({ key, value })),
    }),
    runsOn: t.stringList({ description: 'Labels that a worker must have.', resolve: ({ needs }) => [...needs] }),
    priority: t.exposeInt('priority', { description: 'Higher goes first; each point is worth a minute of waiting.' }),
    concurrencyKey: t.exposeString('concurrencyKey', {
      nullable: true,
      description: 'Tasks of the project with the same key run one at a time.',
    }),
    readyAt: t.expose('readyAt', {
      type: 'DateTime',
      description: 'Since when it can be claimed, or from when on: runAfter, or the pause after a failure.',
    }),
    retry: t.field({ type: TaskRetryRef, description: 'What follows a failure.', resolve: ({ retry }) => retry }),
    leaseSeconds: t.exposeInt('leaseSeconds', { description: 'How long a claim or a heartbeat holds it.' }),
    attempt: t.exposeInt('attemptNo', { description: 'Counts its claims.' }),
    failures: t.exposeInt('failures', { description: 'Attempts that failed since it was enqueued or requeued.' }),
    claimedBy: t.exposeString('claimedBy', {
      nullable: true,
      description: 'Who claimed it last: the name of the token and of the worker; of a build the id of the worker.',
    }),
    leaseUntil: t.expose('leaseUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'Null while no worker has it.',
    }),
    progress: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What its worker said last.',
      resolve: ({ progress }) => progress,
    }),
    cancelRequestedAt: t.expose('cancelRequestedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When somebody asked for the end.',
    }),
    cancelReason: t.exposeString('cancelReason', { nullable: true, description: 'Why, as they say.' }),
    deadLetteredAt: t.expose('deadLetteredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when it has failed for good.',
    }),
    idempotencyKey: t.exposeString('idempotencyKey', { nullable: true, description: 'As it was enqueued.' }),
    requestedBy: t.exposeString('requestedBy', { description: 'Who enqueued it: `token_…`.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was accepted.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it was claimed last.' }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    build: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that it is; null for tasks of other types.',
      resolve: ({ id, isBuild }, _args, { loaders }) => (isBuild ? loaders.build.load(id) : null),
    }),
    callbacks: t.field({
      type: [DeliveryRef],
      description: 'Its reports by HTTP: one once it has ended and has a callbackUrl.',
      resolve: async ({ id, isBuild }, _args, { loaders }) => [
        ...(await (isBuild ? loaders.deliveries : loaders.taskDeliveries).load(id)),
      ],
    }),
    events: t.connection(
      {
        type: TaskEventRef,
        description: 'What has happened, in order. The cursors are those of taskProgress.',
        complexity: pageComplexity,
        resolve: async ({ id, isBuild }, args, { loaders }) => {
          const request = pageRequest(args, NUMBER_CURSOR, 'asc');
          const page = { parent: id, query: { isBuild }, keyset: request.keyset };
          return toConnection(request, await loaders.taskEvents.load(page), (event) => event.seq);
        },
      },
      { name: 'TaskEventConnection', description: 'One page of events.' },
      { name: 'TaskEventEdge', description: 'An event in a list.' },
    ),
  }),
});

const TaskFilterInput = builder.inputType('TaskFilter', {
  description: 'Every member that is present narrows the list.',
  fields: (t) => ({
    projectId: t.id({ description: 'Tasks of this project.' }),
    type: t.stringList({ description: 'Any of these types.' }),
    status: t.field({ type: [TaskStatusEnum], description: 'Any of these.' }),
    label: t.field({ type: [LabelInput], description: 'All of these labels.' }),
    createdAt: t.field({ type: DateTimeRangeInput, description: 'Accepted in this range.' }),
  }),
});

const TaskOrderFieldEnum = builder.enumType('TaskOrderField', {
  description: 'What tasks can be ordered by.',
  values: { CREATED_AT: { description: 'When they were accepted.' } },
});

const TaskOrderInput = builder.inputType('TaskOrder', {
  description: 'The order of a list of tasks.',
  fields: (t) => ({
    field: t.field({ type: TaskOrderFieldEnum, required: true, description: 'By what.' }),
    direction: t.field({ type: OrderDirectionEnum, required: true, description: 'Which way.' }),
  }),
});

/** What the viewer may see of what the input asks for. Throws InvalidInputError. */
function toTaskFilter(viewer: Viewer, input: typeof TaskFilterInput.$inferInput | null | undefined): TaskFilter {
  const { projectId, type, status, label, createdAt } = input ?? {};
  for (const name of type ?? []) checkText(name, ['filter', 'type']);
  for (const { key, value } of label ?? []) checkText(key + value, ['filter', 'label']);
  return {
    projectIds: visibleProjectIds(viewer, projectId),
    types: type ?? null,
    statuses: status ?? null,
    labels: label ?? null,
    createdFrom: createdAt?.from ?? null,
    createdTo: createdAt?.to ?? null,
    builds: can(viewer, 'builds:read'),
  };
}

const TaskStatsRef = builder.objectRef<TaskStats>('TaskStats').implement({
  description: 'How the tasks are doing that are no builds; see queueStats for those.',
  fields: (t) => ({
    waiting: t.exposeInt('waiting', { description: 'That could start now.' }),
    delayed: t.exposeInt('delayed', { description: 'Whose time has not come: runAfter, or a pause after a failure.' }),
    running: t.exposeInt('running', { description: 'That a worker has.' }),
    dead: t.exposeInt('dead', { description: 'That have failed for good.' }),
    oldestReadyAt: t.expose('oldestReadyAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when the one waits that waits longest.',
    }),
    throughputPerMinute: t.exposeFloat('throughputPerMinute', {
      description: 'Tasks that ended in the last ten minutes, divided by ten.',
    }),
    waitP50Ms: t.exposeFloat('waitP50Ms', {
      nullable: true,
      description: 'Milliseconds: half of the tasks that were claimed in the last ten minutes had waited no longer.',
    }),
    waitP95Ms: t.exposeFloat('waitP95Ms', { nullable: true, description: '95 of 100 of them had waited no longer.' }),
  }),
});

builder.queryFields((t) => ({
  task: t.field({
    type: TaskRef,
    nullable: true,
    description: 'The task with this id; null when there is none. A build is `task_` and the digits of its id.',
    authScopes: { scope: 'tasks:read' },
    args: { id: t.arg.id({ required: true, description: 'Its id: `task_…`.' }) },
    resolve: (_root, { id }, context) => findTaskById(context, id),
  }),
  tasks: t.connection(
    {
      type: TaskRef,
      description: 'Tasks, newest first; builds among them for tokens that may read builds.',
      authScopes: { scope: 'tasks:read' },
      complexity: pageComplexity,
      args: {
        filter: t.arg({ type: TaskFilterInput, description: 'Which ones.' }),
        orderBy: t.arg({ type: TaskOrderInput, description: 'In which order.' }),
      },
      resolve: async (_root, args, { loaders, viewer, orchestrator: { db } }) => {
        const request = pageRequest(args, UUID_CURSOR, orderDirection(args.orderBy));
        const rows = await listTasks(db, toTaskFilter(viewer, args.filter), request.keyset);
        for (const task of rows) loaders.task.prime(task.id, task);
        return toConnection(request, rows, (task: Task) => task.id);
      },
    },
    { name: 'TaskConnection', description: 'One page of tasks.' },
    { name: 'TaskEdge', description: 'A task in a list.' },
  ),
  taskStats: t.field({
    type: TaskStatsRef,
    description: 'How the tasks are doing right now.',
    authScopes: { scope: 'tasks:read' },
    complexity: STATS_COMPLEXITY,
    args: {
      projectId: t.arg.id({ description: 'Only those of this project.' }),
      type: t.arg.string({ description: 'Only those of this type.' }),
    },
    resolve: (_root, { projectId, type }, { viewer, orchestrator: { db } }) => {
      checkText(type, ['type']);
      return readTaskStats(db, { projectIds: visibleProjectIds(viewer, projectId), type: type ?? null });
    },
  }),
}));
