/** `SLIPWAY_ACP_AGENTS`: further agents, each a program that speaks the Agent Client Protocol on stdin and stdout. */
import { z } from 'zod';
import { hostPatternProblem } from '../std/network-access.ts';
import { parseJson } from './option.ts';

export interface AcpAgentConfig {
  readonly command: readonly [string, ...string[]];
  /** The variable in which it takes its key; null: it needs none. */
  readonly keyVariable: string | null;
  /** The variable in which it takes the address of its model; null: it takes none. */
  readonly baseUrlVariable: string | null;
  /** Hosts of its model with their ports, reached whatever the build's network is. */
  readonly reaches: readonly string[];
}

const MAX_AGENTS = 50;
const MAX_ARGUMENTS = 100;
const MAX_REACHES = 20;
const NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;
/** What has no such end, such as PATH, is no key; and Slipway's own secrets are nobody's. */
const keyVariable = z
  .string()
  .regex(
    /^(?!SLIPWAY_)[A-Z][A-Z0-9_]{0,62}_(KEY|TOKEN)$/,
    'must be in capitals, end in _KEY or _TOKEN and not be ours',
  );
const baseUrlVariable = z
  .string()
  .regex(/^(?!SLIPWAY_)[A-Z][A-Z0-9_]{0,62}_URL$/, 'must be in capitals, end in _URL and not be ours');

const word = z.string().refine((text) => !text.includes('\0'), 'must not contain NUL');
const command = z
  .tuple([word.min(1)], word)
  .refine((words) => words.length <= MAX_ARGUMENTS, `must have at most ${MAX_ARGUMENTS} words`);
const reach = z.string().superRefine((pattern, context) => {
  const problem = hostPatternProblem(pattern);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});

const agent = z
  .strictObject({
    command,
    keyVariable: keyVariable.nullable().default(null),
    baseUrlVariable: baseUrlVariable.nullable().default(null),
    reaches: z.array(reach).max(MAX_REACHES).default([]),
  })
  .refine(({ baseUrlVariable, keyVariable }) => baseUrlVariable === null || keyVariable !== null, {
    message: 'has a baseUrlVariable and no keyVariable',
  });

const agents = z
  .record(z.string().regex(NAME, 'must be a name of small letters, digits and . _ -'), z.unknown())
  .refine((found) => Object.keys(found).length <= MAX_AGENTS, `must be at most ${MAX_AGENTS} agents`);

/** A command line alone is an agent that needs no key. */
export const acpAgents = z
  .string()
  .default('{}')
  .transform((text, context): Readonly<Record<string, AcpAgentConfig>> => {
    const found = agents.safeParse(parseJson(text));
    if (!found.success) {
      context.addIssue('must be a JSON object: {"NAME": ["program", "argument", …]}, each NAME of a-z 0-9 . _ -');
      return z.NEVER;
    }
    const entries = Object.entries(found.data).map(([name, value]) => {
      const parsed = agent.safeParse(Array.isArray(value) ? { command: value } : value);
      for (const { path, message } of parsed.error?.issues ?? []) {
        context.addIssue(`${[name, ...path].join('.')} ${message}`);
      }
      return [name, parsed.data];
    });
    return Object.fromEntries(entries) as Record<string, AcpAgentConfig>;
  });
