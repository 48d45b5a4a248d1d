/** A schedule is paused, resumed or deleted. */
import {
  DeleteScheduleDocument,
  PauseScheduleDocument,
  ResumeScheduleDocument,
  type ScheduleFieldsFragment,
} from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findScheduleId, type ScheduleFlags } from './find-schedule.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { accepted } from './refusal.ts';
import { type Session, withSession } from './session.ts';

export interface ScheduleChangeFlags extends ScheduleFlags {
  readonly reason?: string;
}

export function schedulePause(io: Io, reference: string, flags: ScheduleChangeFlags): Promise<ExitCode> {
  return change(io, { reference, flags }, async ({ client }, id) => {
    const { pauseSchedule } = await client.request(PauseScheduleDocument, {
      input: { id, reason: flags.reason ?? null },
    });
    const { schedule } = accepted(pauseSchedule, 'PauseSchedulePayload');
    return { schedule, told: 'is paused' };
  });
}

export function scheduleResume(io: Io, reference: string, flags: ScheduleChangeFlags): Promise<ExitCode> {
  return change(io, { reference, flags }, async ({ client }, id) => {
    const { resumeSchedule } = await client.request(ResumeScheduleDocument, { input: { id } });
    const { schedule } = accepted(resumeSchedule, 'ResumeSchedulePayload');
    return { schedule, told: schedule.nextRunAt ? `is due next at ${formatTime(schedule.nextRunAt)}` : 'is paused' };
  });
}

export function scheduleDelete(io: Io, reference: string, flags: ScheduleChangeFlags): Promise<ExitCode> {
  return change(io, { reference, flags }, async ({ client }, id) => {
    const { deleteSchedule } = await client.request(DeleteScheduleDocument, { input: { id } });
    const { schedule } = accepted(deleteSchedule, 'DeleteSchedulePayload');
    return { schedule, told: 'is deleted' };
  });
}

interface Change {
  readonly reference: string;
  readonly flags: ScheduleChangeFlags;
}

interface Changed {
  readonly schedule: ScheduleFieldsFragment;
  readonly told: string;
}

function change(
  io: Io,
  { reference, flags }: Change,
  work: (session: Session, id: string) => Promise<Changed>,
): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { schedule, told } = await work(session, await findScheduleId(session, reference, flags));
    if (session.output.json) session.output.value(schedule);
    else session.output.line(`${oneLine(schedule.name)} ${told}.`);
    return EXIT.done;
  });
}
