/** What people have told the agent of a build. */
import { MAX_MESSAGES } from '../src/builds/build-message.ts';
import { builder } from './builder.ts';
import { DEFAULT_PAGE } from './limits.ts';
import { BuildMessageRef, BuildRef } from './refs.ts';
import { BuildMessageModeEnum, BuildMessageStateEnum } from './vocabulary.ts';

BuildMessageRef.implement({
  description: 'Something that was told to the agent of a build.',
  fields: (t) => ({
    build: t.field({
      type: BuildRef,
      description: 'The build.',
      resolve: async ({ buildId }, _args, { loaders }) => {
        const build = await loaders.build.load(buildId);
        if (!build) throw new Error('a message that may be seen belongs to a build that may be seen');
        return build;
      },
    }),
    text: t.exposeString('text', { description: 'What.' }),
    mode: t.field({ type: BuildMessageModeEnum, description: 'When it was meant for.', resolve: ({ mode }) => mode }),
    state: t.field({ type: BuildMessageStateEnum, description: 'What became of it.', resolve: ({ state }) => state }),
    deliveredAs: t.field({
      type: BuildMessageModeEnum,
      nullable: true,
      description: 'How the agent was given it, which may be later than it was meant; null while it was not.',
      resolve: ({ deliveredAs }) => deliveredAs,
    }),
    sentBy: t.exposeString('sentBy', { description: 'Who sent it: `token_…`.' }),
    sentAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was accepted.' }),
    deliveredAt: t.expose('deliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the agent was given it; null while it was not.',
    }),
  }),
});

builder.objectField(BuildRef, 'messages', (t) =>
  t.field({
    type: [BuildMessageRef],
    description: `What its agent was told, in order: at most ${MAX_MESSAGES}.`,
    complexity: { field: 1, multiplier: DEFAULT_PAGE },
    resolve: async ({ id }, _args, { loaders }) => [...(await loaders.messages.load(id))],
  }),
);
