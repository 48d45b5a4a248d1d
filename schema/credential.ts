/** Credentials: everything about them but their values, which no field gives. */
import { type Credential, type CredentialKind, listCredentials } from '../src/credentials/credential.ts';
import { toPublicId } from '../src/std/public-id.ts';
import { builder } from './builder.ts';
import { ProjectRef } from './refs.ts';
import { values } from './vocabulary.ts';

/** At most 50 of a scope, and most scopes have a few. */
const LIST = { field: 1, multiplier: 10 };

const CredentialKindEnum = builder.enumType('CredentialKind', {
  description: 'What a credential is good for.',
  values: values<CredentialKind>({
    GIT: 'Reads and writes repositories of one origin. Only git is given it, never the agent.',
    MODEL_API_KEY: "The key of a model's provider. Only the agent that asks for its variable is given it.",
    CALLBACK_SIGNING: 'Signs callbacks in place of the secret that Slipway derives.',
    REGISTRY: 'Reads packages of one registry. The agent is given it.',
    DEPLOY: 'Reaches where one environment runs. Only its deployments are given it, never an agent.',
  }),
});

export const CredentialRef = builder.objectRef<Credential>('Credential').implement({
  description: 'A named secret of a project, or of all projects. Its value cannot be read.',
  fields: (t) => ({
    id: t.id({ description: 'Its id, as the audit log has it.', resolve: ({ id }) => toPublicId('credential', id) }),
    name: t.exposeString('name', { description: 'Its name: unique in its project, or among those of all projects.' }),
    kind: t.field({ type: CredentialKindEnum, description: 'What it is good for.', resolve: ({ kind }) => kind }),
    project: t.field({
      type: ProjectRef,
      nullable: true,
      description: 'The project that it belongs to; null for all of them.',
      authScopes: { scope: 'builds:read' },
      resolve: ({ projectId }, _args, { loaders }) => (projectId === null ? null : loaders.project.load(projectId)),
    }),
    target: t.exposeString('target', {
      nullable: true,
      description:
        'The only place where it is sent. GIT: scheme, host and port. MODEL_API_KEY: a variable. REGISTRY: a URL. ' +
        'DEPLOY: an environment. CALLBACK_SIGNING: null.',
    }),
    baseUrl: t.exposeString('baseUrl', {
      nullable: true,
      description: "MODEL_API_KEY: where requests with it go; null for the provider's own address.",
    }),
    maxRunning: t.exposeInt('maxRunning', {
      nullable: true,
      description: 'MODEL_API_KEY: builds that run with it at the same time; null for any number.',
    }),
    previousUntil: t.expose('previousUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'CALLBACK_SIGNING: until then callbacks carry a signature of the secret before this one, too.',
    }),
    keyId: t.exposeString('keyId', { description: 'Names the master key that it is sealed with.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime', description: 'When its value was last set.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a build last used it, to the minute; null for never.',
    }),
  }),
});

builder.objectField(ProjectRef, 'credentials', (t) =>
  t.field({
    type: [CredentialRef],
    nullable: true,
    description: 'Its own credentials by name, at most 50; those of all projects are `credentials`.',
    authScopes: { scope: 'projects:write' },
    complexity: LIST,
    resolve: ({ id }, _args, { loaders }) => loaders.credentials.load(id),
  }),
);

builder.queryField('credentials', (t) =>
  t.field({
    type: [CredentialRef],
    description: "The credentials of all projects by name, at most 50. A project's own go before them.",
    authScopes: { $all: { scope: 'admin', allProjects: true } },
    complexity: LIST,
    resolve: (_root, _args, { orchestrator: { db } }) => listCredentials(db, [null]),
  }),
);
