/** Tokens of the API. */
import { type ApiToken, createApiToken, listApiTokens, revokeApiToken } from '../src/auth/api-token.ts';
import { SCOPES, type Scope } from '../src/auth/scope.ts';
import type { Viewer } from '../src/auth/viewer.ts';
import { audit } from '../src/database/audit.ts';
import type { Database } from '../src/database/database.ts';
import { InvalidInputError, NotFoundError } from '../src/errors.ts';
import { fromPublicId, toPublicId } from '../src/std/public-id.ts';
import { builder, pageComplexity } from './builder.ts';
import { requireProjectId } from './ids.ts';
import { pageRequest, sliceKeyset, toConnection, UUID_CURSOR } from './pagination.ts';

const SCOPE_HELP = `Any of ${SCOPES.map((scope) => `\`${scope}\``).join(', ')}.`;

const ApiTokenRef = builder.objectRef<ApiToken>('ApiToken').implement({
  description: 'A token of the API, without its secret: only a hash of that is kept.',
  fields: (t) => ({
    id: t.id({ description: 'Its id: `token_…`.', resolve: ({ id }) => toPublicId('token', id) }),
    name: t.exposeString('name', { description: 'What it is for.' }),
    scopes: t.field({ type: ['String'], description: SCOPE_HELP, resolve: ({ scopes }) => [...scopes] }),
    projectIds: t.field({
      type: ['ID'],
      nullable: true,
      description: 'The projects that it is limited to; null for all.',
      resolve: ({ projectIds }) => projectIds?.map((id) => toPublicId('project', id)),
    }),
    createdBy: t.exposeString('createdBy', { description: 'Who made it.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'It is of no use after this.' }),
    revokedAt: t.expose('revokedAt', { type: 'DateTime', nullable: true, description: 'When it was revoked.' }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', nullable: true, description: 'To the minute.' }),
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

const RevokeApiTokenInput = builder.inputType('RevokeApiTokenInput', {
  description: 'Which token to revoke.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id: `token_…`.' }) }),
});

interface CreatedToken {
  readonly id: string;
  readonly token: string;
}

const CreateApiTokenPayload = builder.objectRef<CreatedToken>('CreateApiTokenPayload').implement({
  description: 'The token was made.',
  fields: (t) => ({
    id: t.id({ description: 'Its id, to revoke it.', resolve: ({ id }) => toPublicId('token', id) }),
    token: t.exposeString('token', { description: 'The token itself. It cannot be had again.' }),
  }),
});

const RevokeApiTokenPayload = builder.objectRef<ApiToken>('RevokeApiTokenPayload').implement({
  description: 'The token is revoked.',
  fields: (t) => ({
    apiToken: t.field({ type: ApiTokenRef, description: 'As it is now.', resolve: (token) => token }),
  }),
});

// A token that is limited to projects must not make one that is not.
const authScopes = { $all: { scope: 'admin', allProjects: true } } as const;

builder.queryField('apiTokens', (t) =>
  t.connection(
    {
      type: ApiTokenRef,
      description: 'Tokens, newest first, with those that no longer work; the newest 1000.',
      authScopes,
      complexity: pageComplexity,
      resolve: async (_root, args, { orchestrator: { db } }) => {
        const request = pageRequest(args, UUID_CURSOR, 'desc');
        const rows = sliceKeyset(await listApiTokens(db), request.keyset, (token) => token.id);
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
    resolve: (_root, { input }, { orchestrator: { db }, viewer }) => makeToken(db, viewer, input),
  }),
  revokeApiToken: t.field({
    type: RevokeApiTokenPayload,
    description: 'Make a token useless, at once and for good; its subscriptions end. Doing it twice is fine.',
    authScopes,
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: RevokeApiTokenInput, required: true, description: 'Which token.' }) },
    resolve: (_root, { input }, { orchestrator: { db }, viewer }) => {
      const id = fromPublicId('token', input.id);
      if (id === null) throw new NotFoundError('token', input.id);
      return db.transaction().execute(async (trx) => {
        const token = await revokeApiToken(trx, id);
        const entry = { subjectType: 'token', subjectId: id, projectId: null } as const;
        await audit(trx, { actor: viewer.actor, action: 'revokeApiToken', ...entry });
        return token;
      });
    },
  }),
}));

async function makeToken(
  db: Database,
  viewer: Viewer,
  input: typeof CreateApiTokenInput.$inferInput,
): Promise<CreatedToken> {
  const projectIds = input.projectIds?.map((id) => requireProjectId(viewer, id)) ?? null;
  try {
    return await db.transaction().execute(async (trx) => {
      const token = await createApiToken(trx, {
        name: input.name,
        scopes: input.scopes as Scope[],
        projectIds,
        expiresAt: input.expiresAt ?? null,
        createdBy: viewer.actor,
      });
      const entry = { subjectType: 'token', subjectId: token.id, projectId: null } as const;
      await audit(trx, { actor: viewer.actor, action: 'createApiToken', ...entry });
      return token;
    });
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    throw new InvalidInputError(
      error.issues.map(({ path, message }) => ({ path: ['input', ...path], message })),
      error.code,
    );
  }
}
