/** What the scripted agent can do: a list of steps, from a prompt or a template, checked before anything runs. */
import { z } from 'zod';
import type { AgentReason } from './agent.ts';

const MAX_STEPS = 1000;
const MAX_CONTENT = 4 * 1024 * 1024;
const MAX_TEXT = 64 * 1024;
const MAX_WAIT_SECONDS = 3600;

/** Reasons that a script can fail for, so that every ending of a build can be played. */
export const failReason = z.enum([
  'agent_error',
  'auth',
  'billing',
  'rate_limit',
  'overloaded',
  'server_error',
  'network',
  'context_overflow',
  'output_truncated',
  'refusal',
  'max_turns',
  'budget',
]) satisfies z.ZodType<AgentReason>;

const path = z
  .string()
  .min(1)
  .max(4096)
  .refine(
    (value) => !value.startsWith('/') && !value.includes('\0') && !value.split('/').includes('..'),
    'must be relative and stay inside the checkout',
  );
const text = z.string().max(MAX_TEXT);
const retryAfterSeconds = z.number().min(0).max(86_400).optional();
const count = z.number().nonnegative().nullish();

const STEPS = {
  write: z.strictObject({ write: z.strictObject({ path, content: z.string().max(MAX_CONTENT) }) }),
  edit: z.strictObject({
    edit: z.strictObject({ path, find: z.string().min(1).max(MAX_CONTENT), replace: z.string().max(MAX_CONTENT) }),
  }),
  delete: z.strictObject({ delete: z.strictObject({ path }) }),
  run: z.strictObject({ run: text.min(1), allowFailure: z.boolean().optional() }),
  print: z.strictObject({ print: text }),
  wait: z.strictObject({ wait: z.number().min(0).max(MAX_WAIT_SECONDS) }),
  ask: z.strictObject({
    ask: z.strictObject({ question: text.min(1), options: z.array(text.min(1)).max(20).optional() }),
  }),
  approve: z.strictObject({ approve: z.strictObject({ tool: text.min(1), input: z.unknown() }) }),
  retry: z.strictObject({ retry: z.strictObject({ reason: failReason, message: text, retryAfterSeconds }) }),
  fail: z.strictObject({ fail: text, reason: failReason.optional() }),
  usage: z.strictObject({
    usage: z.strictObject({
      inputTokens: count,
      outputTokens: count,
      cacheReadTokens: count,
      cacheWriteTokens: count,
      costUsd: count,
      turns: count,
    }),
  }),
} as const;

type StepKind = keyof typeof STEPS;
export type ScriptedStep = { [K in StepKind]: z.infer<(typeof STEPS)[K]> }[StepKind];

export type ParsedScript =
  | { readonly ok: true; readonly steps: readonly ScriptedStep[] }
  /** A sentence that names the step, counted from 1. */
  | { readonly ok: false; readonly message: string };

export function parseScript(value: unknown): ParsedScript {
  if (!Array.isArray(value)) return { ok: false, message: 'A script must be a list of steps.' };
  if (value.length > MAX_STEPS) return { ok: false, message: `A script may have at most ${MAX_STEPS} steps.` };
  const steps: ScriptedStep[] = [];
  for (const [index, item] of value.entries()) {
    const kind = kindOf(item);
    if (!kind) return { ok: false, message: `Step ${index + 1} must be one of: ${Object.keys(STEPS).join(', ')}.` };
    const parsed = STEPS[kind].safeParse(item);
    if (!parsed.success) return { ok: false, message: `Step ${index + 1} (${kind}): ${describe(parsed.error)}` };
    steps.push(parsed.data);
  }
  return { ok: true, steps };
}

/** `write: { … }` -> `write`. */
function kindOf(step: unknown): StepKind | null {
  if (typeof step !== 'object' || step === null) return null;
  return (Object.keys(STEPS) as StepKind[]).find((kind) => Object.hasOwn(step, kind)) ?? null;
}

function describe(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue ? `${issue.path.join('.')} ${issue.message}`.trim() : 'is not valid';
}
