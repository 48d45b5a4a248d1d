/** What a credential may hold, checked for every entrance. */
import { z } from 'zod';
import { type InputIssue, InvalidInputError } from '../errors.ts';
import { isPlainText } from '../std/plain-text.ts';
import { type CredentialKind, GIT_CREDENTIAL } from './credential.ts';
import { deployInput, sealedDeploy } from './deploy-credential.ts';

/** A shorter secret could not be kept out of logs: taking it out would blacken common words. */
const MIN_SECRET = 8;
const MAX_SECRET = 4096;
const MAX_URL = 2048;
/** Standard Webhooks asks for 24 to 64 bytes. */
const SIGNING_SECRET = /^whsec_[A-Za-z0-9+/]+={0,2}$/;
const DAY_SECONDS = 86_400;
const MAX_GRACE_SECONDS = 30 * DAY_SECONDS;

// They reach their users as lines.
const oneLine = (min: number, max: number) =>
  z
    .string()
    .min(min, `must have at least ${min} characters`)
    .max(max, `must have at most ${max} characters`)
    .refine((text) => isPlainText(text) && !/[\r\n]/.test(text), 'must be one line of well-formed text without NUL');

const secret = oneLine(MIN_SECRET, MAX_SECRET);

/** It stands in an HTTP header. */
const headerSecret = z
  .string()
  .regex(
    new RegExp(`^[\\x21-\\x7e]{${MIN_SECRET},${MAX_SECRET}}$`),
    `must be ${MIN_SECRET} to ${MAX_SECRET} visible ASCII characters`,
  );

export const gitCredentials = z.strictObject({ username: oneLine(1, 255), password: secret });
export type GitLogin = z.output<typeof gitCredentials>;

const webUrl = z
  .string()
  .max(MAX_URL)
  .refine((text) => webUrlProblem(text) === null, { error: ({ input }) => webUrlProblem(String(input)) ?? '' });

function webUrlProblem(text: string): string | null {
  const url = /^https?:\/\/[^/\s\\]/.test(text) && !/[\s\\\p{Cc}]/u.test(text) ? URL.parse(text) : null;
  if (!url) return 'must be an http or https URL';
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or a password';
  return text.includes('?') || text.includes('#') ? 'must not contain a query or a fragment' : null;
}

// Both are written into an .npmrc, where other characters have a meaning.
const registryUrl = webUrl.refine(
  (text) => /^[\w.~/-]*$/.test(URL.parse(text)?.pathname ?? ''),
  'must have a path of letters, digits and . _ ~ - / only',
);
const registryToken = headerSecret.regex(/^[\w.~+/=:-]*$/, 'must hold only letters, digits and . _ ~ + / = : -');

const name = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9._-]{0,62}$/,
    'must start with a letter and hold only letters, digits and . _ - (at most 63)',
  );

const inputOf = (variables: readonly string[]) =>
  z.strictObject({
    projectId: z.uuid().nullable(),
    name,
    git: gitCredentials.extend({ url: webUrl }).nullish(),
    modelApiKey: z
      .strictObject({
        variable: z
          .string()
          .refine((text) => variables.includes(text), `must be one that an agent knows: ${variables.join(', ')}`),
        key: headerSecret,
        baseUrl: webUrl.nullish(),
      })
      .nullish(),
    callbackSigning: z
      .strictObject({
        secret: z
          .string()
          .regex(SIGNING_SECRET, 'must be whsec_ and 24 to 64 bytes in base64')
          .refine(hasSigningLength, 'must be whsec_ and 24 to 64 bytes in base64'),
        graceSeconds: z.int().min(0).max(MAX_GRACE_SECONDS).nullish(),
      })
      .nullish(),
    registry: z.strictObject({ url: registryUrl, token: registryToken }).nullish(),
    deploy: deployInput.nullish(),
  });

function hasSigningLength(text: string): boolean {
  const encoded = text.slice('whsec_'.length);
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.length >= 24 && bytes.length <= 64 && bytes.toString('base64') === encoded;
}

/** Exactly one of the kinds is given. */
export type CredentialInput = z.input<ReturnType<typeof inputOf>>;

export interface CheckedCredential {
  readonly projectId: string | null;
  readonly name: string;
  readonly kind: CredentialKind;
  readonly target: string | null;
  readonly baseUrl: string | null;
  /** What is sealed. GIT: JSON of `GitLogin`; DEPLOY: JSON of `DeploySecret`; otherwise the secret itself. */
  readonly value: string;
  /** CALLBACK_SIGNING: how long the secret before this one signs, too. */
  readonly graceSeconds: number;
}

/** `variables`: those in which an agent takes its key. Throws InvalidInputError, which never holds a secret. */
export function checkCredential(variables: readonly string[], input: CredentialInput): CheckedCredential {
  const parsed = inputOf(variables).safeParse(input);
  if (!parsed.success) {
    throw new InvalidInputError(
      parsed.error.issues.map(({ path, message }) => ({ path: ['input', ...path.map(String)], message })),
    );
  }
  const { git, modelApiKey, callbackSigning, registry, deploy, ...place } = parsed.data;
  const kinds = [git, modelApiKey, callbackSigning, registry, deploy].filter(
    (kind) => kind !== null && kind !== undefined,
  );
  if (kinds.length !== 1) {
    refuse('name', 'give exactly one of git, modelApiKey, callbackSigning, registry and deploy with it');
  }
  if (!git && place.name === GIT_CREDENTIAL)
    refuse('name', `${GIT_CREDENTIAL} is the name of a project's git credentials`);
  const bare = { ...place, target: null, baseUrl: null, graceSeconds: 0 };
  if (git) {
    const { url, ...login } = git;
    return { ...bare, kind: 'GIT', target: new URL(url).origin, value: JSON.stringify(login) };
  }
  if (modelApiKey) {
    const { variable, key, baseUrl } = modelApiKey;
    return { ...bare, kind: 'MODEL_API_KEY', target: variable, baseUrl: baseUrl ?? null, value: key };
  }
  if (registry) return { ...bare, kind: 'REGISTRY', target: withSlash(registry.url), value: registry.token };
  if (deploy) return { ...bare, kind: 'DEPLOY', target: deploy.environment, value: sealedDeploy(deploy) };
  const value = callbackSigning?.secret ?? '';
  return { ...bare, kind: 'CALLBACK_SIGNING', graceSeconds: callbackSigning?.graceSeconds ?? DAY_SECONDS, value };
}

/** With a slash at the end, as npm writes them. */
function withSlash(text: string): string {
  const { href } = new URL(text);
  return href.endsWith('/') ? href : `${href}/`;
}

function refuse(field: string, message: string): never {
  const issue: InputIssue = { path: ['input', field], message };
  throw new InvalidInputError([issue]);
}
