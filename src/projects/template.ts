/**
 * A template: a versioned project skeleton with declared variables. On disk it is a folder with
 * - `template.json`: see `manifestInput`;
 * - `files/`: the skeleton; a file that ends in `.liquid` is rendered, every other one is copied;
 * - `prompt.md` (optional): what an agent is told, with `{{ prompt }}` where the caller's prompt goes;
 * - `scripts/NAME.json` (optional): scripts for the scripted agent.
 */
import { z } from 'zod';
import { artifactGlob } from './artifact-glob.ts';
import { type WorkspaceSettings, workspaceInput } from './workspace-input.ts';

/** A pattern is matched against values up to this many characters; without a pattern only the spec's limit holds. */
export const MAX_PATTERN_INPUT = 1000;

/** Words that mean something to Liquid, and the one variable that every prompt has. */
const RESERVED = new Set(
  'prompt true false nil null empty blank and or not contains if elsif else unless case when'.split(' '),
);

const variableInput = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[A-Za-z][A-Za-z0-9_]{0,63}$/,
        'must start with a letter and hold only letters, digits and _ (at most 64)',
      )
      .refine((name) => !RESERVED.has(name), 'is a reserved word'),
    description: z.string().min(1).max(500),
    required: z.boolean().default(false),
    default: z.string().max(10_000).nullable().default(null),
    pattern: z.string().max(500).refine(isPattern, 'must be a regular expression').nullable().default(null),
  })
  .refine((variable) => !(variable.required && variable.default !== null), 'a required variable has no default')
  .refine(
    ({ pattern, default: value }) => pattern === null || !isPattern(pattern) || !value || matches(pattern, value),
    'the default does not match the pattern',
  );

export const manifestInput = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must hold only lower-case letters, digits and - (at most 63)'),
  version: z.string().regex(/^(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}$/, 'must be MAJOR.MINOR.PATCH'),
  description: z.string().min(1).max(500),
  variables: z
    .array(variableInput)
    .max(100)
    .refine(
      (variables) => new Set(variables.map((variable) => variable.name)).size === variables.length,
      'must not declare a variable twice',
    )
    .default([]),
  prompt: z.literal('prompt.md').optional(),
  artifacts: z.array(artifactGlob).max(32).default([]),
  workspace: workspaceInput.default({}),
});

export interface TemplateVariable {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  readonly default: string | null;
  /** A regular expression (flag `v`) that the whole value must match. */
  readonly pattern: string | null;
}

export interface TemplateFile {
  /** Relative to the checkout, with `/`; may hold Liquid outputs. */
  readonly path: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

export interface Template {
  readonly name: string;
  /** MAJOR.MINOR.PATCH */
  readonly version: string;
  readonly description: string;
  readonly variables: readonly TemplateVariable[];
  /** The text of `prompt.md`; null when the caller's prompt is used as it is. */
  readonly prompt: string | null;
  /** Globs, relative to the checkout, of what a build keeps. */
  readonly artifacts: readonly string[];
  /** What its builds ask of their pods, if the project asks for nothing else. */
  readonly workspace: WorkspaceSettings;
  /** The steps of each script for the scripted agent, by name. */
  readonly scripts: Readonly<Record<string, readonly unknown[]>>;
  readonly files: readonly TemplateFile[];
}

export type TemplateCatalogue = readonly Template[];

/** `name@version`: what a build is pinned to. */
export function templateReference(template: Pick<Template, 'name' | 'version'>): string {
  return `${template.name}@${template.version}`;
}

/** The template with this `name@version`, or the newest one with this `name`; null when there is none. */
export function findTemplate(catalogue: TemplateCatalogue, reference: string): Template | null {
  if (reference.includes('@')) {
    return catalogue.find((template) => templateReference(template) === reference) ?? null;
  }
  return catalogue.filter((template) => template.name === reference).sort(newestFirst)[0] ?? null;
}

/** Does the whole value match? `pattern` must have been accepted by `manifestInput`. */
export function matches(pattern: string, value: string): boolean {
  return value.length <= MAX_PATTERN_INPUT && new RegExp(`^(?:${pattern})$`, 'v').test(value);
}

function isPattern(pattern: string): boolean {
  try {
    return Boolean(new RegExp(`^(?:${pattern})$`, 'v'));
  } catch {
    return false;
  }
}

function newestFirst(a: Template, b: Template): number {
  return b.version.localeCompare(a.version, 'en', { numeric: true });
}
