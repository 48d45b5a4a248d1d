/** What the pod of a build is made of. */
import type { WorkspaceSettings } from '../src/projects/workspace-input.ts';
import { builder } from './builder.ts';

export const WorkspaceRef = builder.objectRef<WorkspaceSettings>('Workspace').implement({
  description:
    'What the container of the agent is made of where builds run on Kubernetes; null leaves it to the template, or to the ' +
    'operator. Elsewhere it has no effect.',
  fields: (t) => ({
    image: t.exposeString('image', { nullable: true, description: 'The image.' }),
    cpu: t.exposeString('cpu', { nullable: true, description: 'Processors: `2`, `500m`.' }),
    memory: t.exposeString('memory', { nullable: true, description: 'Memory: `4Gi`.' }),
    storage: t.exposeString('storage', {
      nullable: true,
      description: 'What the checkout and all that the agent writes may use of the disk: `20Gi`.',
    }),
  }),
});

export const WorkspaceInput = builder.inputRef<WorkspaceSettings>('WorkspaceInput').implement({
  description:
    'What the container of the agent is made of where builds run on Kubernetes; null leaves it to the template, or to the ' +
    'operator. Where builds run in folders of a machine it is kept and has no effect.',
  fields: (t) => ({
    image: t.string({
      description:
        'An image that the operator allows, with glibc, a shell and the program of the agent: `registry.example.com/team/agent:1.2`.',
    }),
    cpu: t.string({ description: 'Processors, such as `2` or `500m`: promised, and at most.' }),
    memory: t.string({
      description: 'Memory, such as `4Gi`: promised, and at most. More ends the build with OUT_OF_MEMORY.',
    }),
    storage: t.string({
      description:
        'What the checkout and all that the agent writes may use of the disk, such as `20Gi`. More ends the build with ' +
        'WORKSPACE_FULL.',
    }),
  }),
});
