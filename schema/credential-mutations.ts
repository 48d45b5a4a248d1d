/** Setting and deleting credentials. What is given here is sealed at once and never given back. */
import type { Credential } from '../src/credentials/credential.ts';
import { deleteCredential, limitCredential, setCredential } from '../src/credentials/set-credential.ts';
import type { DatabaseTransaction } from '../src/database/database.ts';
import { ConflictError, InvalidInputError, NotFoundError } from '../src/errors.ts';
import { QUEUE_TOPIC } from '../src/events/topics.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { CredentialRef } from './credential.ts';
import { requireProject } from './ids.ts';

const GitCredentialInput = builder.inputType('GitCredentialInput', {
  description: 'For the http and https repositories of one origin.',
  fields: (t) => ({
    url: t.string({
      required: true,
      description: 'Of the host or of a repository there: only its scheme, host and port count.',
    }),
    username: t.string({ required: true, description: 'The user; many hosts take any name with a token.' }),
    password: t.string({ required: true, description: 'The password or token: at least 8 characters.' }),
  }),
});

const ModelApiKeyInput = builder.inputType('ModelApiKeyInput', {
  description: "For the agents that take their key in this variable. Goes before the worker's own.",
  fields: (t) => ({
    variable: t.string({ required: true, description: 'Such as `ANTHROPIC_API_KEY`.' }),
    key: t.string({ required: true, description: 'The key.' }),
    baseUrl: t.string({
      description: "Where requests with this key go; absent for the provider's own address. The two are never parted.",
    }),
  }),
});

const CallbackSigningInput = builder.inputType('CallbackSigningInput', {
  description: 'Signs callbacks in place of the secret that Slipway derives.',
  fields: (t) => ({
    secret: t.string({
      required: true,
      description: 'As Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64.',
    }),
    graceSeconds: t.int({
      description: 'How long callbacks carry a signature of the secret before it, too: 0 to 30 days, by default a day.',
    }),
  }),
});

const RegistryInput = builder.inputType('RegistryInput', {
  description: "For package managers that read an .npmrc: it is in the agent's home while a build runs.",
  fields: (t) => ({
    url: t.string({ required: true, description: 'Of the registry: `https://npm.example.com/`.' }),
    token: t.string({ required: true, description: 'The token.' }),
  }),
});

const DeployVariableInput = builder.inputType('DeployVariableInput', {
  description: 'A secret variable of deploy commands.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'Such as `FLY_API_TOKEN`.' }),
    value: t.string({ required: true, description: 'Its value: at least 8 characters.' }),
  }),
});

const DeployCredentialInput = builder.inputType('DeployCredentialInput', {
  description: 'For the deployments of one environment: a kubeconfig, variables, or both.',
  fields: (t) => ({
    environment: t.string({ required: true, description: 'Such as `production`.' }),
    kubeconfig: t.string({
      description:
        'A kubeconfig file. Its current context is used, with a token or a client certificate in the file itself; one ' +
        'that names files or programs is refused.',
    }),
    variables: t.field({
      type: [DeployVariableInput],
      description: 'What deploy commands find in their environment: at most 20.',
    }),
  }),
});

const SetCredentialInput = builder.inputType('SetCredentialInput', {
  description: 'A credential: exactly one of `git`, `modelApiKey`, `callbackSigning`, `registry` and `deploy`.',
  fields: (t) => ({
    projectId: t.id({ description: 'Whose it is; absent for all projects, which needs the scope admin.' }),
    name: t.string({
      required: true,
      description: 'A letter, then letters, digits and `. _ -`: at most 63 characters.',
    }),
    git: t.field({ type: GitCredentialInput, description: 'For git.' }),
    modelApiKey: t.field({ type: ModelApiKeyInput, description: "For a model's provider." }),
    callbackSigning: t.field({ type: CallbackSigningInput, description: 'For callbacks.' }),
    registry: t.field({ type: RegistryInput, description: 'For packages.' }),
    deploy: t.field({ type: DeployCredentialInput, description: 'For deployments.' }),
  }),
});

const DeleteCredentialInput = builder.inputType('DeleteCredentialInput', {
  description: 'Which credential to delete.',
  fields: (t) => ({
    projectId: t.id({ description: 'Whose it is; absent for one of all projects, which needs the scope admin.' }),
    name: t.string({ required: true, description: 'Its name.' }),
  }),
});

const SetCredentialLimitInput = builder.inputType('SetCredentialLimitInput', {
  description: 'How many builds may run with a key at the same time.',
  fields: (t) => ({
    projectId: t.id({ description: 'Whose it is; absent for one of all projects, which needs the scope admin.' }),
    name: t.string({ required: true, description: 'Its name: of a MODEL_API_KEY.' }),
    maxRunning: t.int({ description: 'Builds at the same time, 0 to 100000; null for any number.' }),
  }),
});

const SetCredentialLimitPayload = builder.objectRef<Credential>('SetCredentialLimitPayload').implement({
  description: 'The limit holds for what begins from now on.',
  fields: (t) => ({
    credential: t.field({ type: CredentialRef, description: 'As it is now.', resolve: (credential) => credential }),
  }),
});

const SetCredentialPayload = builder.objectRef<Credential>('SetCredentialPayload').implement({
  description: 'It is kept, sealed. Builds that begin from now on use it.',
  fields: (t) => ({
    credential: t.field({ type: CredentialRef, description: 'As it is now.', resolve: (credential) => credential }),
  }),
});

const DeleteCredentialPayload = builder.objectRef<Credential>('DeleteCredentialPayload').implement({
  description: 'It is gone. Builds that run keep what they were given.',
  fields: (t) => ({
    credential: t.field({ type: CredentialRef, description: 'As it was.', resolve: (credential) => credential }),
  }),
});

/** What belongs to a project needs its scope; what belongs to all needs all. */
function scopesFor({ input }: { readonly input: { readonly projectId?: string | null | undefined } }) {
  const ofProject = typeof input.projectId === 'string';
  return ofProject
    ? ({ scope: 'projects:write' } as const)
    : ({ $all: { scope: 'admin', allProjects: true } } as const);
}

/** UUID, or null for all projects. Throws NotFoundError. */
async function scopeId(context: Context, projectId: string | null | undefined): Promise<string | null> {
  return typeof projectId === 'string' ? (await requireProject(context, projectId)).id : null;
}

/** What another credential, or its limit, has held back may start after the commit. */
async function change(
  { orchestrator: { db, hub } }: Context,
  work: (trx: DatabaseTransaction) => Promise<Credential>,
): Promise<Credential> {
  const credential = await db.transaction().execute(work);
  if (credential.kind === 'MODEL_API_KEY') hub.announce(QUEUE_TOPIC);
  return credential;
}

builder.mutationFields((t) => ({
  setCredential: t.field({
    type: SetCredentialPayload,
    description:
      'Keep a secret, in place of the one that has this name. Needs projects:write; without a project, admin.',
    authScopes: (_root, args) => scopesFor(args),
    errors: { types: [InvalidInputError, NotFoundError, ConflictError] },
    args: { input: t.arg({ type: SetCredentialInput, required: true, description: 'The credential.' }) },
    resolve: async (_root, { input: { projectId, ...given } }, context) => {
      const { orchestrator, viewer } = context;
      const input = { ...given, projectId: await scopeId(context, projectId) };
      return change(context, (trx) => setCredential(trx, orchestrator, { input, actor: viewer.actor }));
    },
  }),
  setCredentialLimit: t.field({
    type: SetCredentialLimitPayload,
    description:
      "Limit how many builds run with the key of a model's provider at the same time. Needs projects:write; without a " +
      'project, admin.',
    authScopes: (_root, args) => scopesFor(args),
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: SetCredentialLimitInput, required: true, description: 'The limit.' }) },
    resolve: async (_root, { input: { projectId, name, maxRunning } }, context) => {
      const scope = { projectId: await scopeId(context, projectId), name, actor: context.viewer.actor };
      return change(context, (trx) => limitCredential(trx, { ...scope, maxRunning: maxRunning ?? null }));
    },
  }),
  deleteCredential: t.field({
    type: DeleteCredentialPayload,
    description: 'Delete a credential. Needs projects:write; without a project, admin.',
    authScopes: (_root, args) => scopesFor(args),
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: DeleteCredentialInput, required: true, description: 'Which credential.' }) },
    resolve: async (_root, { input: { projectId, name } }, context) => {
      const scope = { projectId: await scopeId(context, projectId), name, actor: context.viewer.actor };
      return change(context, (trx) => deleteCredential(trx, scope));
    },
  }),
}));
