import { ShowNextRunsDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findScheduleId, noSchedule, type ScheduleFlags } from './find-schedule.ts';
import type { Io } from './io.ts';
import { withSession } from './session.ts';

export interface ScheduleNextFlags extends ScheduleFlags {
  readonly limit: number;
}

export function scheduleNext(io: Io, reference: string, flags: ScheduleNextFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { client, output } = session;
    const id = await findScheduleId(session, reference, flags);
    const { schedule } = await client.request(ShowNextRunsDocument, { id, first: flags.limit });
    if (!schedule) throw noSchedule(id);
    if (output.json) output.value(schedule.nextRuns);
    else for (const at of schedule.nextRuns) output.line(at);
    if (schedule.paused) output.note(`It is paused: ${oneLine(schedule.pausedReason ?? 'nobody said why', 200)}`);
    return EXIT.done;
  });
}
