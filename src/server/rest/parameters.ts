/** Parameters of queries, which come as text. */
import { z } from '@hono/zod-openapi';
import { MAX_PAGE } from '../../../schema/limits.ts';
import { MAX_WAIT_SECONDS } from './long-polls.ts';

export const dateTime = z.iso.datetime({ offset: true });

export function wholeNumber(minimum: number, maximum: number) {
  return z
    .string()
    .regex(/^\d{1,10}$/, 'must be a whole number')
    .transform(Number)
    .refine((number) => number >= minimum && number <= maximum, `must be ${minimum} to ${maximum}`)
    .optional()
    .openapi({ type: 'integer', minimum, maximum });
}

/** `?status=RUNNING&status=PENDING` */
export function listOf<T extends z.ZodType>(item: T) {
  return z.array(item).max(100).optional().meta({ isList: true });
}

export const pageSize = wholeNumber(0, MAX_PAGE).describe(`Items of the page: at most ${MAX_PAGE}, by default 20.`);
export const afterCursor = z.string().max(200).optional().describe('Only what follows this cursor.');
export const beforeCursor = z.string().max(200).optional().describe('The last items before this cursor.');
export const waitSeconds = wholeNumber(0, MAX_WAIT_SECONDS).describe(
  `Wait so long before answering, at most ${MAX_WAIT_SECONDS}; by default not at all.`,
);

/** Seconds of `Prefer: wait=10`, as far as we go along with them; null when there are none. */
export function preferredWait(prefer: string | null): number | null {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer ?? '')?.[1];
  return seconds === undefined ? null : Math.min(Number(seconds), MAX_WAIT_SECONDS);
}
