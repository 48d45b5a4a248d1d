import { CreateScheduleDocument, type ScheduleCatchUp, type ScheduleOverlap } from '../client/generated.ts';
import { EXIT, type ExitCode } from './exit-code.ts';
import { findProject } from './find-project.ts';
import { formatTime } from './format.ts';
import type { Io } from './io.ts';
import type { Pair } from './parse-option.ts';
import { readPrompt } from './read-prompt.ts';
import { accepted } from './refusal.ts';
import { type ClientFlags, withSession } from './session.ts';

export interface ScheduleCreateFlags extends ClientFlags {
  readonly project: string;
  readonly cron: string;
  readonly timeZone?: string;
  readonly overlap?: ScheduleOverlap;
  readonly catchUp?: ScheduleCatchUp;
  /** Milliseconds. */
  readonly catchUpWithin?: number;
  readonly promptFile?: string;
  readonly provider?: string;
  readonly model?: string;
  readonly branch?: string;
  readonly template?: string;
  readonly var?: readonly Pair[];
  readonly label?: readonly Pair[];
  readonly priority?: number;
  readonly callbackUrl?: string;
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
      input: { projectId, name, ...toRule(flags), spec: toSpec(text, flags) },
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

function toRule({ cron, timeZone, overlap, catchUp, catchUpWithin }: ScheduleCreateFlags) {
  const catchUpSeconds = catchUpWithin === undefined ? null : catchUpWithin / 1_000;
  return { cron, timeZone: timeZone ?? null, overlap: overlap ?? null, catchUp: catchUp ?? null, catchUpSeconds };
}

/** What no flag says is left to the project. */
function toSpec(prompt: string, flags: ScheduleCreateFlags) {
  return {
    prompt,
    provider: flags.provider ?? null,
    model: flags.model ?? null,
    branch: flags.branch ?? null,
    template: flags.template ?? null,
    variables: flags.var ? [...flags.var] : null,
    labels: flags.label?.map(({ name, value }) => ({ key: name, value })) ?? null,
    priority: flags.priority ?? null,
    callbackUrl: flags.callbackUrl ?? null,
  };
}
