import { CreateScheduleDocument } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import { readPrompt } from './read-prompt.ts';
import { accepted } from './refusal.ts';
import { type RuleFlags, type SpecFlags, toRule, toSpec } from './schedule-flags.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface ScheduleCreateFlags extends ClientFlags, RuleFlags, SpecFlags {
  readonly project: string;
  readonly cron: string;
}

interface Named {
  readonly name: string;
  readonly prompt: string | undefined;
}

export function scheduleCreate(io: Io, { name, prompt }: Named, flags: ScheduleCreateFlags): Promise<ExitCode> {
  return withSession(io, flags, async (session) => {
    const text = await readPrompt(io, { prompt, file: flags.promptFile });
    const { id: projectId } = await findProject(session, flags.project);
    const { createSchedule } = await session.client.request(CreateScheduleDocument, {
      input: { projectId, name, cron: flags.cron, ...toRule(flags), spec: { prompt: text, ...toSpec(flags) } },
    });
    const { schedule } = accepted(createSchedule, 'CreateSchedulePayload');
    const { output } = session;
    if (output.json) output.value(schedule);
    else {
      output.line(schedule.id);
      if (schedule.nextRunAt) output.note(`It is due next at ${formatTime(schedule.nextRunAt)}.`);
    }
    return EXIT.done;
  });
}
