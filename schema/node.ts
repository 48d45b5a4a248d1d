/** Anything by its id. */
import { brandWithType } from '@pothos/core';
import { InvalidInputError } from '../src/errors.ts';
import { fromPublicId } from '../src/std/public-id.ts';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { MAX_NODES } from './limits.ts';

const NODES = [
  ['build', 'Build'],
  ['project', 'Project'],
  ['worker', 'Worker'],
  ['artifact', 'Artifact'],
  ['delivery', 'CallbackDelivery'],
  ['message', 'BuildMessage'],
  ['question', 'BuildQuestion'],
  ['task', 'Task'],
] as const;

/** Null when there is no such thing, or the viewer may not see it. */
async function loadNode({ loaders }: Context, id: string): Promise<object | null> {
  for (const [kind, typeName] of NODES) {
    const uuid = fromPublicId(kind, id);
    if (uuid === null) continue;
    const node: object | null = await loaders[kind].load(uuid);
    if (node) brandWithType(node, typeName as never);
    return node;
  }
  return null;
}

builder.queryFields((t) => ({
  node: t.field({
    type: builder.nodeInterfaceRef(),
    nullable: true,
    description: 'Whatever has this id; null when there is nothing.',
    authScopes: { scope: 'builds:read' },
    args: { id: t.arg.id({ required: true, description: 'An id.' }) },
    resolve: (_root, { id }, context) => loadNode(context, id),
  }),
  nodes: t.field({
    type: [builder.nodeInterfaceRef()],
    nullable: { list: false, items: true },
    description: `Whatever has these ids, in their order; null where there is nothing. At most ${MAX_NODES}.`,
    authScopes: { scope: 'builds:read' },
    complexity: ({ ids }) => ({ field: 1, multiplier: Math.min(ids.length, MAX_NODES) }),
    args: { ids: t.arg.idList({ required: true, description: 'Ids.' }) },
    resolve: (_root, { ids }, context) => {
      if (ids.length > MAX_NODES) {
        throw new InvalidInputError([{ path: ['ids'], message: `must be at most ${MAX_NODES} ids` }]);
      }
      return Promise.all(ids.map((id) => loadNode(context, id)));
    },
  }),
}));
