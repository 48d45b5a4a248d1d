/** The ids of nodes are a part of their row: written at once, not by a promise for each item of a list. */
import SchemaBuilder, { BasePlugin, type PothosOutputFieldConfig, type SchemaTypes } from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';
import { toPublicId } from '../src/std/public-id.ts';

/** Type name -> the word that its ids begin with. */
export const NODE_IDS = {
  Build: 'build',
  Project: 'project',
  Worker: 'worker',
  Artifact: 'artifact',
  CallbackDelivery: 'delivery',
  BuildMessage: 'message',
  BuildQuestion: 'question',
  Task: 'task',
  Schedule: 'schedule',
} as const;

export const nodeIdsPlugin = 'nodeIds';

declare global {
  export namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      nodeIds: NodeIdsPlugin<Types>;
    }
  }
}

type Resolve = GraphQLFieldResolver<unknown, object>;

class NodeIdsPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  override wrapResolve(resolver: Resolve, { name, parentType }: PothosOutputFieldConfig<Types>): Resolve {
    if (name !== 'id' || !isNode(parentType)) return resolver;
    const word = NODE_IDS[parentType];
    return (node) => toPublicId(word, (node as { readonly id: string }).id);
  }
}

SchemaBuilder.registerPlugin(nodeIdsPlugin, NodeIdsPlugin);

function isNode(type: string): type is keyof typeof NODE_IDS {
  return Object.hasOwn(NODE_IDS, type);
}
