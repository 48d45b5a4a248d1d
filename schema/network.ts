/** What a build's agent may reach. */
import type { BuildSpecInput } from '../src/builds/build-spec.ts';
import { MAX_HOSTS, type NetworkAccess } from '../src/std/network-access.ts';
import { builder } from './builder.ts';
import { values } from './vocabulary.ts';

const NetworkAccessEnum = builder.enumType('NetworkAccess', {
  description: 'How much of the network an agent may reach. Its own model is always reachable.',
  values: values<NetworkAccess['access']>({
    ALL: "All that the worker's machine reaches, its loopback included.",
    NONE: 'Nothing.',
    HOSTS: 'The hosts that are listed, by HTTP and HTTPS.',
  }),
});

export const NetworkRef = builder.objectRef<NetworkAccess>('Network').implement({
  description: 'What an agent, and all that it starts, may reach.',
  fields: (t) => ({
    access: t.field({ type: NetworkAccessEnum, description: 'How much.', resolve: ({ access }) => access }),
    hosts: t.field({
      type: ['String'],
      description: 'The hosts; empty unless `access` is HOSTS.',
      resolve: ({ hosts }) => hosts,
    }),
  }),
});

export const NetworkInput = builder.inputRef<NonNullable<BuildSpecInput['network']>>('NetworkInput').implement({
  description: 'What an agent, and all that it starts, may reach. Limits need workers with a sandbox.',
  fields: (t) => ({
    access: t.field({ type: NetworkAccessEnum, required: true, description: 'How much.' }),
    hosts: t.stringList({
      description:
        `With HOSTS, at most ${MAX_HOSTS}: \`registry.npmjs.org\`, \`*.example.com\` for what is below it, \`*\` for every ` +
        'public host; with a port if it is not 80 or 443. Private addresses are reached only where the address itself ' +
        'is listed.',
    }),
  }),
});
