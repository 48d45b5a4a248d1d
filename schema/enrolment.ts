/** One-time tokens with which workers of other machines come. */
import {
  createEnrolment,
  DEFAULT_ENROLMENT_MINUTES,
  type Enrolment,
  type EnrolmentState,
  listEnrolments,
  MAX_ENROLMENT_MINUTES,
  revokeEnrolment,
} from '../src/auth/enrolment.ts';
import { InvalidInputError, NotFoundError } from '../src/errors.ts';
import { fromPublicId, toPublicId } from '../src/std/public-id.ts';
import { MAX_WORKER_LABELS } from '../src/std/worker-label.ts';
import { builder, pageComplexity } from './builder.ts';
import type { Context } from './context.ts';
import { requireProject } from './ids.ts';
import { pageRequest, toConnection, UUID_CURSOR } from './pagination.ts';
import { values } from './vocabulary.ts';

const LABELS_HELP = 'What the worker is good for, whatever it says itself';

const EnrolmentStateEnum = builder.enumType('EnrolmentState', {
  description: 'What became of an enrolment token.',
  values: values<EnrolmentState>({
    OPEN: 'It waits for its worker.',
    USED: 'A worker has come with it. It is of no more use.',
    EXPIRED: 'Nobody came in time.',
    REVOKED: 'It was revoked before anybody came.',
  }),
});

const EnrolmentRef = builder.objectRef<Enrolment>('EnrolmentToken').implement({
  description: 'A one-time token for a worker of another machine, without its secret: only a hash of that is kept.',
  fields: (t) => ({
    id: t.id({ description: 'Its id: `enrolment_…`.', resolve: ({ id }) => toPublicId('enrolment', id) }),
    name: t.exposeString('name', { description: 'What it is for.' }),
    state: t.field({
      type: EnrolmentStateEnum,
      description: 'What became of it.',
      resolve: ({ state }) => state,
    }),
    labels: t.field({
      type: ['String'],
      nullable: true,
      description: `${LABELS_HELP}; null: what it says counts.`,
      resolve: ({ labels }) => labels && [...labels],
    }),
    projectIds: t.field({
      type: ['ID'],
      nullable: true,
      description: 'The projects whose builds and tasks the worker is given; null for all.',
      resolve: ({ projectIds }) => projectIds?.map((id) => toPublicId('project', id)),
    }),
    createdBy: t.exposeString('createdBy', { description: 'Who made it: `token_…`.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'It is of no use after this.' }),
    usedAt: t.expose('usedAt', { type: 'DateTime', nullable: true, description: 'When a worker came with it.' }),
    workerName: t.exposeString('workerName', { nullable: true, description: 'How the worker called itself.' }),
    apiTokenId: t.id({
      nullable: true,
      description: "The worker's own token, for revokeApiToken; null before it came.",
      resolve: ({ tokenId }) => tokenId && toPublicId('token', tokenId),
    }),
  }),
});

const CreateEnrolmentTokenInput = builder.inputType('CreateEnrolmentTokenInput', {
  description: 'A new enrolment token.',
  fields: (t) => ({
    name: t.string({ required: true, defaultValue: 'worker', description: 'What it is for: at most 100 characters.' }),
    labels: t.stringList({
      description: `${LABELS_HELP}: at most ${MAX_WORKER_LABELS}; absent: what it says counts.`,
    }),
    projectIds: t.idList({ description: 'Gives the worker builds and tasks of these projects only; absent for all.' }),
    expiresInMinutes: t.int({
      required: true,
      defaultValue: DEFAULT_ENROLMENT_MINUTES,
      description: `It is of no use after this: at most ${MAX_ENROLMENT_MINUTES}.`,
    }),
  }),
});

const RevokeEnrolmentTokenInput = builder.inputType('RevokeEnrolmentTokenInput', {
  description: 'Which enrolment token to revoke.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id: `enrolment_…`.' }) }),
});

const CreateEnrolmentTokenPayload = builder
  .objectRef<{ readonly token: string; readonly enrolment: Enrolment }>('CreateEnrolmentTokenPayload')
  .implement({
    description: 'The enrolment token was made.',
    fields: (t) => ({
      enrolmentToken: t.field({ type: EnrolmentRef, description: 'What it is.', resolve: (made) => made.enrolment }),
      token: t.exposeString('token', { description: 'The token itself. It cannot be had again.' }),
    }),
  });

const RevokeEnrolmentTokenPayload = builder.objectRef<Enrolment>('RevokeEnrolmentTokenPayload').implement({
  description: 'The enrolment token is revoked.',
  fields: (t) => ({
    enrolmentToken: t.field({ type: EnrolmentRef, description: 'As it is now.', resolve: (enrolment) => enrolment }),
  }),
});

// Whoever makes one gives the scope `work` to others: he needs that himself.
const authScopes = { $all: { scope: 'workers', allProjects: true, $all: { scope: 'work' } } } as const;

builder.queryField('enrolmentTokens', (t) =>
  t.connection(
    {
      type: EnrolmentRef,
      description: 'Enrolment tokens, newest first.',
      authScopes: { $all: { scope: 'workers', allProjects: true } },
      complexity: pageComplexity,
      args: {
        onlyOpen: t.arg.boolean({
          required: true,
          defaultValue: false,
          description: 'Only those that can still be used.',
        }),
      },
      resolve: async (_root, args, { orchestrator: { db } }) => {
        const request = pageRequest(args, UUID_CURSOR, 'desc');
        const rows = await listEnrolments(db, { onlyOpen: args.onlyOpen }, request.keyset);
        return toConnection(request, rows, ({ id }) => id);
      },
    },
    { name: 'EnrolmentTokenConnection', description: 'One page of enrolment tokens.' },
    { name: 'EnrolmentTokenEdge', description: 'An enrolment token in a list.' },
  ),
);

builder.mutationFields((t) => ({
  createEnrolmentToken: t.field({
    type: CreateEnrolmentTokenPayload,
    description:
      'Make a one-time token, with which a worker of another machine gets a token of its own: `slipway worker enrol`. Needs the ' +
      'scope `work`, too, which it gives.',
    authScopes,
    errors: { types: [InvalidInputError, NotFoundError] },
    args: { input: t.arg({ type: CreateEnrolmentTokenInput, required: true, description: 'What it is.' }) },
    resolve: (_root, { input }, context) => makeEnrolment(context, input),
  }),
  revokeEnrolmentToken: t.field({
    type: RevokeEnrolmentTokenPayload,
    description:
      'Make an enrolment token useless, at once and for good. The token of a worker that has come with it is another one: ' +
      'revokeApiToken. Doing it twice is fine.',
    authScopes: { $all: { scope: 'workers', allProjects: true } },
    errors: { types: [NotFoundError] },
    args: { input: t.arg({ type: RevokeEnrolmentTokenInput, required: true, description: 'Which one.' }) },
    resolve: (_root, { input: { id } }, { orchestrator: { db }, viewer }) => {
      const uuid = fromPublicId('enrolment', id);
      if (uuid === null) throw new NotFoundError('enrolment', id);
      return revokeEnrolment(db, uuid, viewer.actor);
    },
  }),
}));

async function makeEnrolment(
  context: Context,
  { name, labels, projectIds, expiresInMinutes }: typeof CreateEnrolmentTokenInput.$inferInput,
) {
  const projects = projectIds && (await Promise.all(projectIds.map((id) => requireProject(context, id))));
  const enrolment = {
    name,
    labels: labels ?? null,
    projectIds: projects?.map(({ id }) => id) ?? null,
    expiresInMinutes,
  };
  try {
    return await createEnrolment(context.orchestrator.db, enrolment, context.viewer.actor);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const issues = error.issues.map(({ path, message }) => ({ path: ['input', ...path], message }));
    throw new InvalidInputError(issues, error.code);
  }
}
