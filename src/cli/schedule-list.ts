import type { ScheduleFieldsFragment } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { readSchedules } from './find-schedule.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface ScheduleListFlags extends ClientFlags {
  readonly project: string;
}

const HEAD = ['NAME', 'CRON', 'TIME ZONE', 'NEXT', 'LAST BUILD', 'NOTE', 'ID'];

export function scheduleList(io: Io, flags: ScheduleListFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { output } = session;
    const schedules = await readSchedules(session, flags.project);
    if (output.json) output.value(schedules);
    else if (schedules.length > 0) output.table([HEAD, ...schedules.map(toRow)]);
    else output.note('The project has no schedules.');
    return EXIT.done;
  });
}

function toRow(schedule: ScheduleFieldsFragment): string[] {
  const { lastBuild } = schedule;
  return [
    oneLine(schedule.name, 40),
    schedule.cron,
    schedule.timeZone,
    schedule.nextRunAt ? formatTime(schedule.nextRunAt) : 'paused',
    lastBuild ? `#${lastBuild.number} ${lastBuild.status}` : '-',
    oneLine(schedule.pausedReason ?? schedule.lastError ?? '-', 60),
    schedule.id,
  ];
}
