/** What tasks of the types `test` and `deploy` carry, checked where they are accepted and again where they run. */
import { z } from 'zod';
import { environmentName } from '../credentials/deploy-credential.ts';
import { InvalidInputError, inputIssues } from '../errors.ts';
import { refProblem } from '../git/ref-name.ts';
import { checkoutGlob } from '../projects/artifact-glob.ts';
import { commandInput } from '../projects/command-input.ts';
import { isPlainText, NOT_PLAIN_TEXT } from '../std/plain-text.ts';
import { REPORT_FORMATS } from './parse-report.ts';

const DAY_SECONDS = 86_400;
const MAX_VARIABLES = 50;

const branch = z
  .string()
  .refine((text) => refProblem(text) === null, { error: ({ input }) => refProblem(String(input)) ?? '' });
const commit = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, 'must be the whole id of a commit, in lower case');

/** Slipway's own names are not for others, and neither are those that make other programs run. */
const variables = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'must be the name of a variable')
      .refine((name) => !/^(?:SLIPWAY_|LD_|HOME$|TMPDIR$)/.test(name), 'must not be SLIPWAY_*, LD_*, HOME or TMPDIR'),
    z.string().max(4_096).refine(isPlainText, NOT_PLAIN_TEXT),
  )
  .refine((map) => Object.keys(map).length <= MAX_VARIABLES, `must have at most ${MAX_VARIABLES} variables`);

/** Where the work is done: at a commit, or where a branch stands now; by default the project's default branch. */
const place = { commit: commit.nullish(), branch: branch.nullish() };
const onePlace = ({ commit, branch }: { commit?: string | null | undefined; branch?: string | null | undefined }) =>
  !(typeof commit === 'string' && typeof branch === 'string');
const ONE_PLACE = { error: 'give either a commit or a branch', path: ['commit'] };

export const testPayload = z
  .strictObject({
    ...place,
    /** In place of the project's testCommand. */
    command: commandInput.nullish(),
    /** Glob of the reports that it writes, relative to the checkout, in place of the project's testReport. */
    reportPath: checkoutGlob.nullish(),
    /** TAP without a path: what the command prints is the report. */
    reportFormat: z.enum(REPORT_FORMATS).nullish(),
    timeoutSeconds: z.int().min(1).max(DAY_SECONDS).nullish(),
    /** Variables of the command; secrets do not belong here. */
    environment: variables.nullish(),
  })
  .refine(onePlace, ONE_PLACE);

export type TestPayload = z.output<typeof testPayload>;

export const deployPayload = z
  .strictObject({
    /** Such as `production`: one deployment at a time, with its credential. */
    environment: environmentName,
    ...place,
    /** Globs of the manifests to apply in place of the project's way to deploy. */
    manifests: z.array(checkoutGlob).min(1).max(20).nullish(),
    /** Of manifests that name none; by default that of the credential. */
    namespace: environmentName.nullish(),
    /** Takes over fields that somebody else has set. */
    force: z.boolean().nullish(),
    timeoutSeconds: z.int().min(1).max(DAY_SECONDS).nullish(),
  })
  .refine(onePlace, ONE_PLACE);

export type DeployPayload = z.output<typeof deployPayload>;

const PAYLOADS: Readonly<Record<string, z.ZodType>> = { test: testPayload, deploy: deployPayload };

/** The payload of a task that workers beside the database run; nothing is said of other types. Throws InvalidInputError. */
export function checkRunPayload({ type, payload }: { readonly type: string; readonly payload: unknown }): void {
  const checked = PAYLOADS[type]?.safeParse(payload);
  if (checked && !checked.success) throw new InvalidInputError(inputIssues(checked.error, ['input', 'payload']));
}

/** The key of a task that names none: deployments of an environment wait for each other. */
export function defaultKey({ type, payload }: { readonly type: string; readonly payload?: unknown }): string | null {
  return type === 'deploy' ? `deploy:${(payload as DeployPayload).environment}` : null;
}
