/** Schedules: builds of a project that are started by the clock. */

import { InvalidInputError } from '../src/errors.ts';
import { MAX_SCHEDULES, nextRuns, type Schedule } from '../src/schedules/schedule.ts';
import { BuildConnection, childBuilds } from './build.ts';
import { builder, EMBEDDED_LIST, pageComplexity } from './builder.ts';
import { findScheduleById } from './ids.ts';
import { pageRequest, toConnection, UUID_CURSOR } from './pagination.ts';
import { BuildRef, ProjectRef, ScheduleRef } from './refs.ts';
import { values } from './vocabulary.ts';

const MAX_NEXT_RUNS = 50;

export const ScheduleOverlapEnum = builder.enumType('ScheduleOverlap', {
  description: 'What is done when a schedule is due while an earlier build of it waits or runs.',
  values: values<Schedule['overlap']>({
    SKIP_IF_RUNNING: 'This time is skipped.',
    QUEUE: 'Another build is started, and waits for its turn.',
    CANCEL_RUNNING: 'The earlier build ends CANCELLED, and another one is started.',
  }),
});

export const ScheduleCatchUpEnum = builder.enumType('ScheduleCatchUp', {
  description: 'What is done about times that were missed: more than five minutes, because no Slipway was there.',
  values: values<Schedule['catchUp']>({
    NONE: 'Nothing.',
    LATEST: 'A build is started for the last of them.',
    ALL: 'A build is started for each of the last ten of them.',
  }),
});

ScheduleRef.implement({
  description: 'Builds of a project that are started by the clock.',
  fields: (t) => ({
    project: t.field({
      type: ProjectRef,
      description: 'Whose builds it starts.',
      resolve: async ({ projectId }, _args, { loaders }) => {
        const project = await loaders.project.load(projectId);
        if (!project) throw new Error('a schedule that may be seen belongs to a project that may be seen');
        return project;
      },
    }),
    name: t.exposeString('name', { description: 'Unique in its project.' }),
    cron: t.exposeString('cron', { description: 'When it is due: five fields, or a name such as `@daily`.' }),
    timeZone: t.exposeString('timeZone', { description: 'Whose clocks `cron` means: `Europe/Berlin`.' }),
    spec: t.field({
      type: 'JSON',
      description: 'The BuildSpecInput of its builds as it was given: what is absent is decided when one is started.',
      resolve: ({ spec }) => spec,
    }),
    overlap: t.field({
      type: ScheduleOverlapEnum,
      description: 'What is done while an earlier build of it waits or runs.',
      resolve: ({ overlap }) => overlap,
    }),
    catchUp: t.field({
      type: ScheduleCatchUpEnum,
      description: 'What is done about times that were missed.',
      resolve: ({ catchUp }) => catchUp,
    }),
    catchUpSeconds: t.exposeInt('catchUpSeconds', { description: 'How far back a time is caught up.' }),
    paused: t.boolean({ description: 'It starts no builds.', resolve: ({ pausedAt }) => pausedAt !== null }),
    pausedAt: t.expose('pausedAt', { type: 'DateTime', nullable: true, description: 'Since when.' }),
    pausedReason: t.exposeString('pausedReason', { nullable: true, description: 'Why, as far as that was said.' }),
    nextRunAt: t.expose('nextRunAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it is due; null while it is paused.',
    }),
    nextRuns: t.field({
      type: ['DateTime'],
      description: 'The next times from now on, whether it is paused or not.',
      complexity: EMBEDDED_LIST,
      args: { first: t.arg.int({ defaultValue: 5, description: `How many: 1 to ${MAX_NEXT_RUNS}.` }) },
      resolve: (schedule, { first }) => {
        const count = first ?? 5;
        if (count >= 1 && count <= MAX_NEXT_RUNS) return nextRuns(schedule, new Date(), count);
        throw new InvalidInputError([{ path: ['first'], message: `must be 1 to ${MAX_NEXT_RUNS}` }]);
      },
    }),
    lastRunAt: t.expose('lastRunAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it last started a build.',
    }),
    lastBuild: t.field({
      type: BuildRef,
      nullable: true,
      description: 'The build that it started last.',
      resolve: ({ lastBuildId }, _args, { loaders }) => (lastBuildId === null ? null : loaders.build.load(lastBuildId)),
    }),
    lastSkippedAt: t.expose('lastSkippedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last due and started none.',
    }),
    lastSkippedReason: t.exposeString('lastSkippedReason', { nullable: true, description: 'Why not.' }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description: 'What its last build was refused for; null when it was not. After ten in a row it is paused.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When it was last changed.' }),
    builds: t.connection(
      {
        type: BuildRef,
        description: 'The builds that it has started, newest first.',
        complexity: pageComplexity,
        resolve: ({ id }, args, context) =>
          childBuilds(context, id, { args, direction: 'desc', query: { by: 'schedule_id', filter: {} } }),
      },
      BuildConnection,
    ),
  }),
});

builder.objectField(ProjectRef, 'schedules', (t) =>
  t.connection(
    {
      type: ScheduleRef,
      description: `Its schedules, oldest first: at most ${MAX_SCHEDULES}.`,
      authScopes: { scope: 'builds:read' },
      complexity: pageComplexity,
      resolve: async ({ id }, args, { loaders }) => {
        const request = pageRequest(args, UUID_CURSOR, 'asc');
        const rows = await loaders.schedules.load({ parent: id, query: null, keyset: request.keyset });
        return toConnection(request, rows, (schedule) => schedule.id);
      },
    },
    { name: 'ScheduleConnection', description: 'One page of schedules.' },
    { name: 'ScheduleEdge', description: 'A schedule in a list.' },
  ),
);

builder.objectFields(BuildRef, (t) => ({
  schedule: t.field({
    type: ScheduleRef,
    nullable: true,
    description: 'What started it, if it was the clock; null also when that schedule is deleted.',
    resolve: ({ scheduleId }, _args, { loaders }) => (scheduleId === null ? null : loaders.schedule.load(scheduleId)),
  }),
  scheduledFor: t.expose('scheduledFor', {
    type: 'DateTime',
    nullable: true,
    description: 'The time of its schedule that it was started for.',
  }),
}));

builder.queryFields((t) => ({
  schedule: t.field({
    type: ScheduleRef,
    nullable: true,
    description: 'The schedule with this id; null when there is none.',
    authScopes: { scope: 'builds:read' },
    args: { id: t.arg.id({ required: true, description: 'Its id: `schedule_…`.' }) },
    resolve: (_root, { id }, context) => findScheduleById(context, id),
  }),
}));
