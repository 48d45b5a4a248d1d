/** What an option is, and the schemas that many share. */
import { z } from 'zod';

export interface Option<T> {
  /** The environment variable. */
  readonly env: string;
  /** Parses the variable's text; undefined when it is not set. */
  readonly schema: z.ZodType<T, string | undefined>;
  /** What the README shows as the default. */
  readonly default: string;
  readonly help: string;
  /** Never printed. */
  readonly secret?: boolean;
}

export const text = (fallback: string) => z.string().min(1).default(fallback);

export const optional = z.string().min(1).optional();

export const integer = (fallback: number, min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max))
    .default(fallback);

export const list = z
  .string()
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  )
  .default([]);

/** A text of which `problem` says what is wrong; null when nothing is. */
export const checked = (problem: (text: string) => string | null) =>
  z.string().superRefine((value, context) => {
    const message = problem(value);
    if (message !== null) context.addIssue({ code: 'custom', message });
  });

/** Null for what is no JSON: no option takes that either. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export function option<T>(
  env: string,
  schema: z.ZodType<T, string | undefined>,
  fallback: string,
  help: string,
  secret = false,
): Option<T> {
  return { env, schema, default: fallback, help, secret };
}
