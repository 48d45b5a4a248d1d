/** Who asks. */
import type { Viewer } from '../src/auth/viewer.ts';
import { builder } from './builder.ts';
import { ProjectRef } from './refs.ts';

const ViewerRef = builder.objectRef<Viewer>('Viewer').implement({
  description: 'The token that this request was sent with.',
  fields: (t) => ({
    id: t.id({ description: 'Its id, as `requestedBy` shows it.', resolve: ({ actor }) => actor }),
    name: t.exposeString('name', { description: "The token's name." }),
    scopes: t.field({ type: ['String'], description: 'What it may do.', resolve: ({ scopes }) => [...scopes] }),
    projects: t.field({
      type: [ProjectRef],
      nullable: true,
      description: 'The projects that it is limited to; null for all.',
      authScopes: { scope: 'builds:read' },
      resolve: async ({ projectIds }, _args, { loaders }) => {
        if (projectIds === null) return null;
        const projects = await Promise.all(projectIds.map((id) => loaders.project.load(id)));
        return projects.filter((project) => project !== null);
      },
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', nullable: true, description: 'It is of no use after this.' }),
  }),
});

builder.queryField('viewer', (t) =>
  t.field({
    type: ViewerRef,
    description: 'Who asks: what this token may do. Needs no scope.',
    resolve: (_root, _args, { viewer }) => viewer,
  }),
);
