import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findSchedule, type ScheduleFlags } from './find-schedule.ts';
import { formatDuration, formatTable, formatTime } from './format.ts';
import type { Io } from './io.ts';
import { withSession } from './session.ts';

const MAX_TEXT = 400;

export function scheduleShow(io: Io, reference: string, flags: ScheduleFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const schedule = await findSchedule(session, reference, flags);
    if (session.output.json) {
      session.output.value(schedule);
      return EXIT.done;
    }
    const { prompt, ...rest } = schedule.spec as { readonly prompt: string };
    const { lastRunAt, lastBuild, lastSkippedAt, lastSkippedReason, lastError, pausedReason } = schedule;
    const spec = Object.entries(rest).filter(([, value]) => value !== null);
    const within = schedule.catchUp === 'NONE' ? '' : `, within ${formatDuration(schedule.catchUpSeconds * 1_000)}`;
    const skipped = lastSkippedAt && `${formatTime(lastSkippedAt)}: ${oneLine(lastSkippedReason ?? '', MAX_TEXT)}`;
    const facts: [string, string | null][] = [
      ['Schedule', oneLine(schedule.name, MAX_TEXT)],
      ['Id', schedule.id],
      ['Project', oneLine(schedule.project.slug)],
      ['When', `${schedule.cron} (${schedule.timeZone})`],
      ['Next', schedule.nextRunAt === null ? 'paused' : formatTime(schedule.nextRunAt)],
      ['Paused', schedule.paused ? oneLine(pausedReason ?? 'nobody said why', MAX_TEXT) : null],
      ['Overlap', schedule.overlap],
      ['Catch-up', `${schedule.catchUp}${within}`],
      ['Prompt', oneLine(prompt, MAX_TEXT)],
      ['Spec', spec.length === 0 ? null : oneLine(JSON.stringify(Object.fromEntries(spec)), MAX_TEXT)],
      ['Last run', lastRunAt && formatTime(lastRunAt)],
      ['Last build', lastBuild && `#${lastBuild.number} ${lastBuild.status}`],
      ['Skipped', skipped],
      ['Refused', lastError && oneLine(lastError, MAX_TEXT)],
    ];
    session.output.line(formatTable(facts.filter((fact): fact is [string, string] => fact[1] !== null)));
    return EXIT.done;
  });
}
