import { type ScheduleFieldsFragment, UpdateScheduleDocument } from '../client/generated.ts';
import { oneLine } from './clean-text.ts';
import { CliError, EXIT, type ExitCode } from './exit-code.ts';
import { findSchedule, type ScheduleFlags } from './find-schedule.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { readPrompt } from './read-prompt.ts';
import { accepted } from './refusal.ts';
import { type RuleFlags, type SpecFlags, toRule, toSpec } from './schedule-flags.ts';
import { withSession } from './session.ts';

export interface ScheduleUpdateFlags extends ScheduleFlags, RuleFlags, SpecFlags {
  readonly name?: string;
  readonly cron?: string;
}

interface Named {
  readonly reference: string;
  readonly prompt: string | undefined;
}

/** What no flag says stays as it is, also within what its builds are to do. */
export function scheduleUpdate(io: Io, { reference, prompt }: Named, flags: ScheduleUpdateFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const { name, cron, promptFile } = flags;
    const rule = { ...toRule(flags), ...(name === undefined ? {} : { name }), ...(cron === undefined ? {} : { cron }) };
    const says = prompt !== undefined || promptFile !== undefined;
    const spec = { ...toSpec(flags), ...(says ? { prompt: await readPrompt(io, { prompt, file: promptFile }) } : {}) };
    if (Object.keys({ ...rule, ...spec }).length === 0) {
      const hints = ['A prompt, --cron, --overlap …: `slipway help schedule update` has all of it.'];
      throw new CliError('Say what to change.', { code: 'INVALID_INPUT', hints });
    }
    const before = await findSchedule(session, reference, flags);
    const merged = Object.keys(spec).length === 0 ? {} : { spec: { ...specOf(before), ...spec } };
    const input = { id: before.id, ...rule, ...merged };
    const { updateSchedule } = await session.client.request(UpdateScheduleDocument, { input });
    const { schedule } = accepted(updateSchedule, 'UpdateSchedulePayload');
    const { output } = session;
    if (output.json) output.value(schedule);
    else output.line(`${oneLine(schedule.name)} is changed, and ${dueOf(schedule)}.`);
    return EXIT.done;
  });
}

function specOf({ spec }: ScheduleFieldsFragment) {
  return spec as { readonly prompt: string };
}

function dueOf({ nextRunAt }: ScheduleFieldsFragment): string {
  return nextRunAt === null ? 'still paused' : `due next at ${formatTime(nextRunAt)}`;
}
