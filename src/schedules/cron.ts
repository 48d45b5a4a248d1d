/** When a schedule is due, in the words of cron: five fields, or a name. Which moments these are is in `cron-times.ts`. */
import { CronExpressionParser } from 'cron-parser';

/** A cron expression as sets of numbers. */
export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: readonly number[];
  readonly daysOfMonth: readonly number[];
  /** 0 is Sunday. */
  readonly daysOfWeek: readonly number[];
  /** Both kinds of days are restricted: either of them is enough. */
  readonly eitherDay: boolean;
  /** It means intervals and not times of the clock. */
  readonly everyHour: boolean;
}

const NAMES: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
};

/** `*`, `5`, `MON`, `1-5`, each with `/2`. */
const PART = /^(?:\*|(?:\d{1,2}|[A-Za-z]{3})(?:-(?:\d{1,2}|[A-Za-z]{3}))?)(?:\/\d{1,2})?$/;
const MAX_LENGTH = 200;

export type ParsedCron = { readonly ok: true; readonly cron: Cron } | { readonly ok: false; readonly problem: string };

export function parseCron(text: string): ParsedCron {
  if (text.length > MAX_LENGTH) return refuse(`must be at most ${MAX_LENGTH} characters`);
  const named = text.trim().startsWith('@');
  const expression = named ? NAMES[text.trim().toLowerCase()] : text.trim();
  if (expression === undefined) return refuse(`is none of ${Object.keys(NAMES).join(', ')}`);
  const fields = expression.split(/\s+/);
  if (fields.length === 6) return refuse('must have five fields: seconds are not possible');
  if (fields.length !== 5)
    return refuse('must have five fields: minute, hour, day of the month, month, day of the week');
  const strange = fields.find((field) => !field.split(',').every((part) => PART.test(part)));
  if (strange !== undefined) return refuse(`cannot be read at ${JSON.stringify(strange)}`);
  try {
    return { ok: true, cron: readFields(fields.join(' ')) };
  } catch (error) {
    return refuse(`cannot be read: ${(error as Error).message}`);
  }
}

function refuse(problem: string): ParsedCron {
  return { ok: false, problem };
}

function readFields(expression: string): Cron {
  const { minute, hour, dayOfMonth, month, dayOfWeek } = CronExpressionParser.parse(expression).fields;
  const daysOfWeek = [...new Set(dayOfWeek.values.map((day) => Number(day) % 7))];
  const daysOfMonth = dayOfMonth.values.map(Number);
  return {
    minutes: minute.values.map(Number),
    hours: hour.values.map(Number),
    months: month.values.map(Number),
    daysOfMonth,
    daysOfWeek,
    eitherDay: daysOfMonth.length < 31 && daysOfWeek.length < 7,
    everyHour: hour.values.length === 24,
  };
}
