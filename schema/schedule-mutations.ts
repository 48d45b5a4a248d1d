/** Changes to schedules. */
import { ConflictError, InvalidInputError, NotFoundError } from '../src/errors.ts';
import {
  createSchedule,
  deleteSchedule,
  pauseSchedule,
  resumeSchedule,
  updateSchedule,
} from '../src/schedules/change-schedule.ts';
import type { Schedule } from '../src/schedules/schedule.ts';
import { BuildSpecInputRef } from './build-spec.ts';
import { builder } from './builder.ts';
import { requireProject, requireScheduleId } from './ids.ts';
import { ScheduleRef } from './refs.ts';
import { ScheduleCatchUpEnum, ScheduleOverlapEnum } from './schedule.ts';

const HELP = {
  name: 'What it is called: at most 100 characters, unique in its project.',
  cron:
    'When it is due: minute, hour, day of the month, month, day of the week, as in `30 6 * * MON-FRI`; or `@hourly`, ' +
    '`@daily`, `@weekly`, `@monthly`, `@yearly`. A time that the clocks pass over is due at the shift, one that comes twice ' +
    'is due once; what is due every hour goes on every hour.',
  timeZone: 'Whose clocks that means, such as `Europe/Berlin`',
  spec: 'What its builds are to do, without runAfter: at most 128 KiB.',
  overlap: 'What is done while an earlier build of it waits or runs',
  catchUp: 'What is done about times that were missed',
  catchUpSeconds: 'How far back a time is caught up: 300 to 2592000',
};

const CreateScheduleInput = builder.inputType('CreateScheduleInput', {
  description: 'Builds of a project that are started by the clock.',
  fields: (t) => ({
    projectId: t.id({ required: true, description: 'The project.' }),
    name: t.string({ required: true, description: HELP.name }),
    cron: t.string({ required: true, description: HELP.cron }),
    timeZone: t.string({ description: `${HELP.timeZone}; by default UTC.` }),
    spec: t.field({ type: BuildSpecInputRef, required: true, description: HELP.spec }),
    overlap: t.field({ type: ScheduleOverlapEnum, description: `${HELP.overlap}; by default SKIP_IF_RUNNING.` }),
    catchUp: t.field({ type: ScheduleCatchUpEnum, description: `${HELP.catchUp}; by default NONE.` }),
    catchUpSeconds: t.int({ description: `${HELP.catchUpSeconds}, by default 86400.` }),
  }),
});

const UpdateScheduleInput = builder.inputType('UpdateScheduleInput', {
  description: 'What to change; what is absent or null stays.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The schedule.' }),
    name: t.string({ description: HELP.name }),
    cron: t.string({ description: HELP.cron }),
    timeZone: t.string({ description: `${HELP.timeZone}.` }),
    spec: t.field({ type: BuildSpecInputRef, description: `${HELP.spec} It takes the place of the earlier one.` }),
    overlap: t.field({ type: ScheduleOverlapEnum, description: `${HELP.overlap}.` }),
    catchUp: t.field({ type: ScheduleCatchUpEnum, description: `${HELP.catchUp}.` }),
    catchUpSeconds: t.int({ description: `${HELP.catchUpSeconds}.` }),
  }),
});

const PauseScheduleInput = builder.inputType('PauseScheduleInput', {
  description: 'Which schedule, and why.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The schedule.' }),
    reason: t.string({ description: 'Shown with it: at most 1000 characters.' }),
  }),
});

const ResumeScheduleInput = builder.inputType('ResumeScheduleInput', {
  description: 'Which schedule.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The schedule.' }) }),
});

const DeleteScheduleInput = builder.inputType('DeleteScheduleInput', {
  description: 'Which schedule.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The schedule.' }) }),
});

const payload = (name: string, description: string, schedule = 'As it is now.') =>
  builder.objectRef<Schedule>(name).implement({
    description,
    fields: (t) => ({ schedule: t.field({ type: ScheduleRef, description: schedule, resolve: (row) => row }) }),
  });

const CreateSchedulePayload = payload('CreateSchedulePayload', 'The schedule was made.', 'The new schedule.');
const UpdateSchedulePayload = payload('UpdateSchedulePayload', 'The schedule was changed.');
const PauseSchedulePayload = payload('PauseSchedulePayload', 'It starts no builds until it is resumed.');
const ResumeSchedulePayload = payload('ResumeSchedulePayload', 'It is due again, from now on.');
const DeleteSchedulePayload = payload('DeleteSchedulePayload', 'It is gone. Its builds stay.', 'As it was.');

builder.mutationFields((t) => ({
  createSchedule: t.field({
    type: CreateSchedulePayload,
    description: 'Start builds of a project by the clock. The spec is checked now, and again for each build.',
    // Its builds are started in the name of whoever says what they do.
    authScopes: { $all: { scope: 'projects:write', $all: { scope: 'builds:write' } } },
    errors: { types: [InvalidInputError, NotFoundError, ConflictError] },
    args: { input: t.arg({ type: CreateScheduleInput, required: true, description: 'The schedule.' }) },
    resolve: async (_root, { input }, context) => {
      const { orchestrator, viewer } = context;
      const { id: projectId } = await requireProject(context, input.projectId);
      return createSchedule(orchestrator, { ...input, projectId }, viewer.actor);
    },
  }),
  updateSchedule: t.field({
    type: UpdateSchedulePayload,
    description: 'Change a schedule. With another time it is due from now on.',
    // Its builds are started in the name of whoever says what they do.
    authScopes: { $all: { scope: 'projects:write', $all: { scope: 'builds:write' } } },
    errors: { types: [InvalidInputError, NotFoundError, ConflictError] },
    args: { input: t.arg({ type: UpdateScheduleInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input: { id: publicId, ...changes } }, context) => {
      const id = await requireScheduleId(context, publicId);
      return updateSchedule(context.orchestrator, { id, changes }, context.viewer.actor);
    },
  }),
  pauseSchedule: t.field({
    type: PauseSchedulePayload,
    description: 'Let a schedule start no builds; those that wait or run go on. Doing it twice is fine.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: PauseScheduleInput, required: true, description: 'Which schedule, and why.' }) },
    resolve: async (_root, { input }, context) => {
      const id = await requireScheduleId(context, input.id);
      return pauseSchedule(context.orchestrator, { ...input, id }, context.viewer.actor);
    },
  }),
  resumeSchedule: t.field({
    type: ResumeSchedulePayload,
    description: 'Let a schedule start builds again. What it missed meanwhile is not caught up.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: ResumeScheduleInput, required: true, description: 'Which schedule.' }) },
    resolve: async (_root, { input }, context) =>
      resumeSchedule(context.orchestrator, await requireScheduleId(context, input.id), context.viewer.actor),
  }),
  deleteSchedule: t.field({
    type: DeleteSchedulePayload,
    description: 'Delete a schedule. Its builds stay, and those that wait or run go on.',
    authScopes: { scope: 'projects:write' },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: DeleteScheduleInput, required: true, description: 'Which schedule.' }) },
    resolve: async (_root, { input }, context) =>
      deleteSchedule(context.orchestrator, await requireScheduleId(context, input.id), context.viewer.actor),
  }),
}));
