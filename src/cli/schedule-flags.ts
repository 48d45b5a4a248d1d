/** What flags say of a schedule. What no flag says is absent: left to the project, or as it was. */
import type { BuildSpecInput, ScheduleCatchUp, ScheduleOverlap } from '../client/generated.ts';
import type { Pair } from './parse-option.ts';

export interface RuleFlags {
  readonly timeZone?: string;
  readonly overlap?: ScheduleOverlap;
  readonly catchUp?: ScheduleCatchUp;
  /** Milliseconds. */
  readonly catchUpWithin?: number;
}

export function toRule({ timeZone, overlap, catchUp, catchUpWithin }: RuleFlags) {
  return {
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(overlap === undefined ? {} : { overlap }),
    ...(catchUp === undefined ? {} : { catchUp }),
    ...(catchUpWithin === undefined ? {} : { catchUpSeconds: catchUpWithin / 1_000 }),
  };
}

export interface SpecFlags {
  readonly promptFile?: string;
  readonly provider?: string;
  readonly model?: string;
  readonly branch?: string;
  readonly template?: string;
  readonly var?: readonly Pair[];
  readonly label?: readonly Pair[];
  readonly priority?: number;
  readonly concurrencyKey?: string;
  readonly runsOn?: readonly string[];
  readonly callbackUrl?: string;
}

/** All but the prompt. */
export function toSpec(flags: SpecFlags): Omit<BuildSpecInput, 'prompt'> {
  const { provider, model, branch, template, priority, concurrencyKey, runsOn, callbackUrl } = flags;
  const spec = {
    provider,
    model,
    branch,
    template,
    variables: flags.var && [...flags.var],
    labels: flags.label?.map(({ name, value }) => ({ key: name, value })),
    priority,
    concurrencyKey,
    runsOn: runsOn && [...runsOn],
    callbackUrl,
  };
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
}
