/** Tokens of the API. */
import {
  type ApiToken,
  createApiToken,
  DEFAULT_GRACE_SECONDS,
  listApiTokens,
  MAX_GRACE_SECONDS,
  type NewSecret,
  revokeApiToken,
  rotateApiToken,
} from '../src/auth/api-token.ts';
import { SCOPES, type Scope } from '../src/auth/scope.ts';
import { InvalidInputError, NotFoundError } from '../src/errors.ts';
import { fromPublicId, toPublicId } from '../src/std/public-id.ts';
import { builder, pageComplexity } from './builder.ts';
import type { Context } from './context.ts';
import { requireProject } from './ids.ts';
import { pageRequest, toConnection, UUID_CURSOR } from './pagination.ts';

const SCOPE_HELP = `Any of ${SCOPES.map((scope) => `\`${scope}\``).join(', ')}.`;

const ApiTokenRef = builder.objectRef<ApiToken>('ApiToken').implement({
  description: 'A token of the API, without its secret: only a hash of that is kept. Its rights never change.',
  fields: (t) => ({
    id: t.id({ description: 'Its id: `token_…`. It stays when the token is rotated.', resolve: publicIdOf }),
    name: t.exposeString('name', { description: 'What it is for.' }),
    scopes: t.field({ type: ['String'], description: SCOPE_HELP, resolve: ({ scopes }) => [...scopes] }),
    projectIds: t.field({
      type: ['ID'],
      nullable: true,
      description: 'The projects that it is limited to; null for all.',
      resolve: ({ projectIds }) => projectIds?.map((id) => toPublicId('project', id)),
    }),
    createdBy: t.exposeString('createdBy', { description: 'Who made it: `token_…`, or a command.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'It is of no use after this.' }),
    revokedAt: t.expose('revokedAt', { type: 'DateTime', nullable: true, description: 'When it was revoked.' }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', nullable: true, description: 'To the minute.' }),
    rotatedAt: t.expose('rotatedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When its secret was last replaced.',
    }),
    previousUntil: t.expose('previousUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'How long the secret before the last rotation works, or worked; null when it ended at once.',
    }),
  }),
});

const CreateApiTokenInput = builder.inputType('CreateApiTokenInput', {
  description: 'A new token.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'What it is for: at most 100 characters.' }),
    scopes: t.stringList({ required: true, description: SCOPE_HELP }),
    projectIds: t.idList({ description: 'Limits it to these projects; absent for all of them.' }),
    expiresAt: t.field({ type: 'DateTime', description: 'It is of no use after this; absent for never.' }),
  }),
});

const RotateApiTokenInput = builder.inputType('RotateApiTokenInput', {
  description: 'Which token gets a new secret.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'Its id: `token_…`.' }),
    graceSeconds: t.int({
      required: true,
      defaultValue: DEFAULT_GRACE_SECONDS,
      description: `Seconds that the present secret goes on, at most ${MAX_GRACE_SECONDS}; 0 ends it at once.`,
    }),
  }),
});

const RevokeApiTokenInput = builder.inputType('RevokeApiTokenInput', {
  description: 'Which token to revoke.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id: `token_…`.' }) }),
});

const CreateApiTokenPayload = builder
  .objectRef<NewSecret & { readonly id: string }>('CreateApiTokenPayload')
  .implement({
    description: 'The token was made.',
    fields: (t) => ({
      id: t.id({ description: 'Its id, to revoke it.', resolve: publicIdOf }),
      token: t.exposeString('token', { description: 'The token itself. It cannot be had again.' }),
    }),
  });

const RotateApiTokenPayload = builder
  .objectRef<NewSecret & { readonly apiToken: ApiToken }>('RotateApiTokenPayload')
  .implement({
    description: 'The token has a new secret.',
    fields: (t) => ({
      apiToken: t.field({ type: ApiTokenRef, description: 'As it is now.', resolve: ({ apiToken }) => apiToken }),
      token: t.exposeString('token', { description: 'The new token itself. It cannot be had again.' }),
    }),
  });

const RevokeApiTokenPayload = builder.objectRef<ApiToken>('RevokeApiTokenPayload').implement({
  description: 'The token is revoked.',
  fields: (t) => ({
    apiToken: t.field({ type: ApiTokenRef, description: 'As it is now.', resolve: (token) => token }),
  }),
});

// Whoever gives a token to others needs every right himself: a token that is limited must not make one that is not.
const authScopes = { $all: { scope: 'admin', allProjects: true } } as const;

builder.queryField('apiTokens', (t) =>
  t.connection(
    {
      type: ApiTokenRef,
      description: 'Tokens, newest first.',
      authScopes,
      complexity: pageComplexity,
      args: {
        includeRevoked: t.arg.boolean({
          required: true,
          defaultValue: false,
          description: 'Also those that were revoked or have expired.',
        }),
      },
      resolve: async (_root, args, { orchestrator: { db } }) => {
        const request = pageRequest(args, UUID_CURSOR, 'desc');
        const rows = await listApiTokens(db, { onlyValid: !args.includeRevoked }, request.keyset);
        return toConnection(request, rows, (token) => token.id);
      },
    },
    { name: 'ApiTokenConnection', description: 'One page of tokens.' },
    { name: 'ApiTokenEdge', description: 'A token in a list.' },
  ),
);

builder.mutationFields((t) => ({
  createApiToken: t.field({
    type: CreateApiTokenPayload,
    description: 'Make a token.',
    authScopes,
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: CreateApiTokenInput, required: true, description: 'The token.' }) },
    resolve: (_root, { input }, context) => makeToken(context, input),
  }),
  rotateApiToken: t.field({
    type: RotateApiTokenPayload,
    description:
      'Give a token a new secret. It keeps its id, rights and end; the present secret goes on for a while, and one that ' +
      'was replaced before ends at once.',
    authScopes,
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: RotateApiTokenInput, required: true, description: 'Which token.' }) },
    resolve: (_root, { input: { id, graceSeconds } }, { orchestrator: { db }, viewer }) =>
      withInputPath(rotateApiToken(db, { id: requireTokenId(id), graceSeconds }, viewer.actor)),
  }),
  revokeApiToken: t.field({
    type: RevokeApiTokenPayload,
    description: 'Make a token useless, at once and for good; its subscriptions end. Doing it twice is fine.',
    authScopes,
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: RevokeApiTokenInput, required: true, description: 'Which token.' }) },
    resolve: (_root, { input }, { orchestrator: { db }, viewer }) =>
      revokeApiToken(db, requireTokenId(input.id), viewer.actor),
  }),
}));

function publicIdOf({ id }: { readonly id: string }): string {
  return toPublicId('token', id);
}

function requireTokenId(id: string): string {
  const uuid = fromPublicId('token', id);
  if (uuid === null) throw new NotFoundError('token', id);
  return uuid;
}

async function makeToken(
  context: Context,
  { name, scopes, projectIds, expiresAt }: typeof CreateApiTokenInput.$inferInput,
) {
  const projects = projectIds && (await Promise.all(projectIds.map((id) => requireProject(context, id))));
  const token = {
    name,
    scopes: scopes as Scope[],
    projectIds: projects?.map(({ id }) => id) ?? null,
    expiresAt: expiresAt ?? null,
    createdBy: context.viewer.actor,
  };
  return withInputPath(createApiToken(context.orchestrator.db, token));
}

/** Issues with their path from the root of the arguments. */
async function withInputPath<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const issues = error.issues.map(({ path, message }) => ({ path: ['input', ...path], message }));
    throw new InvalidInputError(issues, error.code);
  }
}
