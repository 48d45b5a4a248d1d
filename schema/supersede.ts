/** What a new build does to the earlier ones, as it is sent and as it is read. */
import type { Supersede } from '../src/projects/supersede-input.ts';
import { builder } from './builder.ts';
import { values } from './vocabulary.ts';

const SupersedeByEnum = builder.enumType('SupersedeBy', {
  description: 'Which builds of a project are a group.',
  values: values<Supersede['by']>({
    PROJECT: 'All of them.',
    BRANCH: 'Those of one branch.',
    KEY: 'Those with one `concurrencyKey`; a build without a key is in no group.',
  }),
});

const SupersedePolicyEnum = builder.enumType('SupersedePolicy', {
  description: 'What a new build does while others of its group wait or run.',
  values: values<Supersede['policy']>({
    QUEUE: 'It waits for its turn as any other.',
    CANCEL_IN_PROGRESS:
      'It takes their place: they end CANCELLED, with a reason and `supersededBy`. One that is being pushed goes on.',
    SKIP_NEWEST: 'It ends CANCELLED at once, with a reason and `supersededBy`.',
  }),
});

export const SupersedeRef = builder.objectRef<Supersede>('Supersede').implement({
  description: 'What a new build does to the earlier ones of its group.',
  fields: (t) => ({
    by: t.field({ type: SupersedeByEnum, description: 'What a group is.', resolve: ({ by }) => by }),
    policy: t.field({ type: SupersedePolicyEnum, description: 'What it does.', resolve: ({ policy }) => policy }),
  }),
});

export const SupersedeInput = builder.inputRef<Supersede>('SupersedeInput').implement({
  description: 'What a new build does to the earlier ones of its group.',
  fields: (t) => ({
    by: t.field({ type: SupersedeByEnum, required: true, description: 'What a group is.' }),
    policy: t.field({ type: SupersedePolicyEnum, required: true, description: 'What it does.' }),
  }),
});
