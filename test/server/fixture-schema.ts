/** A small schema to try the server with, and what became of it. */
import {
  GraphQLBoolean,
  GraphQLError,
  GraphQLFloat,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  GraphQLSchema,
  GraphQLString,
} from 'graphql';
import type { Context } from '../../schema/context.ts';
import { ForbiddenError } from '../../src/errors.ts';

export interface Fixture {
  readonly schema: GraphQLSchema;
  /** Sources that are open. */
  readonly openSources: number;
  /** Events that were pulled from all sources. */
  readonly pulled: number;
  /** How often the mutation ran. */
  readonly mutations: number;
  /** The contexts that the events' fields have seen. */
  readonly contexts: ReadonlySet<Context>;
  /** Gives every idle source one and the same event. */
  emit(): void;
}

interface Tick {
  readonly number: number;
  readonly text: string;
}

export function createFixture(): Fixture {
  const state = { openSources: 0, pulled: 0, mutations: 0, contexts: new Set<Context>() };
  const waiting = new Set<(event: Tick) => void>();
  let emitted = 0;

  /** What `emit` gives when `to` is null; otherwise 1, 2, 3 … `to`. */
  function ticks({ to, bytes = 0 }: { to: number | null; bytes?: number }): AsyncIterableIterator<Tick> {
    const text = 'x'.repeat(bytes);
    const queue: Tick[] = [];
    let number = 0;
    let done = false;
    let resume = () => {};
    const wake = (event: Tick) => {
      queue.push(event);
      resume();
    };
    waiting.add(wake);
    state.openSources += 1;
    const finish = () => {
      if (done) return;
      done = true;
      waiting.delete(wake);
      state.openSources -= 1;
      resume();
    };
    const take = (): Tick | undefined => {
      if (to === null) return queue.shift();
      number += 1;
      return { number, text };
    };
    return {
      async next() {
        if (to === null && queue.length === 0 && !done) {
          await new Promise<void>((proceed) => {
            resume = proceed;
          });
        }
        if (to !== null && number >= to) finish();
        const value = done ? undefined : take();
        if (!value) return { done: true, value: undefined };
        state.pulled += 1;
        return { done: false, value };
      },
      async return() {
        finish();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  const required = { string: new GraphQLNonNull(GraphQLString), int: new GraphQLNonNull(GraphQLInt) };
  const tick: GraphQLObjectType<Tick, Context> = new GraphQLObjectType({
    name: 'Tick',
    fields: () => ({
      nodes: { type: new GraphQLList(node), resolve: () => [] },
      number: { type: required.int },
      text: { type: required.string },
      echo: { type: GraphQLString, args: { name: { type: GraphQLString } }, resolve: (_tick, { name }) => name },
      rights: {
        type: required.string,
        resolve(_tick, _args, context) {
          state.contexts.add(context);
          return [...context.viewer.scopes, ...(context.viewer.projectIds ?? ['all'])].toSorted().join(' ');
        },
      },
      viewerName: {
        type: required.string,
        extensions: { perViewer: true },
        resolve(_tick, _args, context) {
          state.contexts.add(context);
          return context.viewer.name;
        },
      },
      unmarkedName: { type: GraphQLString, resolve: (_tick, _args, { viewer }) => viewer.name },
      later: { type: required.string, resolve: async ({ number }) => `later ${number}` },
    }),
  });
  const node: GraphQLObjectType<unknown, Context> = new GraphQLObjectType({
    name: 'Node',
    fields: () => ({
      self: { type: new GraphQLNonNull(node), resolve: () => ({}) },
      name: { type: required.string, resolve: () => 'node' },
      children: { type: new GraphQLList(node), resolve: () => [] },
    }),
  });
  const query = new GraphQLObjectType<unknown, Context>({
    name: 'Query',
    fields: {
      hello: {
        type: required.string,
        args: { name: { type: GraphQLString }, big: { type: GraphQLFloat }, flag: { type: GraphQLBoolean } },
        resolve: (_root, { name }) => `Hello, ${name ?? 'world'}!`,
      },
      node: { type: new GraphQLNonNull(node), resolve: () => ({}) },
      viewerName: { type: required.string, resolve: (_root, _args, { viewer }) => viewer.name },
      rateLimit: {
        type: GraphQLInt,
        extensions: { perRequest: true },
        resolve: (_root, _args, { rateLimit }) => rateLimit?.cost,
      },
      unmarkedLimit: { type: GraphQLInt, resolve: (_root, _args, { rateLimit }) => rateLimit?.cost },
      defect: {
        type: GraphQLString,
        resolve() {
          throw new Error('secret of the house');
        },
      },
      outage: {
        type: required.string,
        resolve() {
          throw Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
        },
      },
      forbidden: {
        type: GraphQLString,
        resolve() {
          throw new ForbiddenError('admin');
        },
      },
      unwritable: { type: new GraphQLScalarType({ name: 'Raw' }), resolve: () => 1n },
      never: { type: GraphQLString, resolve: () => new Promise(() => {}) },
    },
  });
  const mutation = new GraphQLObjectType<unknown, Context>({
    name: 'Mutation',
    fields: {
      increment: {
        type: required.int,
        resolve() {
          state.mutations += 1;
          return state.mutations;
        },
      },
    },
  });
  const subscription = new GraphQLObjectType<unknown, Context>({
    name: 'Subscription',
    fields: {
      count: {
        type: tick,
        args: { to: { type: required.int }, bytes: { type: GraphQLInt } },
        subscribe: (_root, { to, bytes }) => ticks({ to, bytes }),
        resolve: (event) => event,
      },
      idle: {
        type: tick,
        subscribe: () => ticks({ to: null }),
        resolve: (event) => event,
      },
      refused: {
        type: tick,
        subscribe() {
          throw new GraphQLError('There is no build b.', { extensions: { code: 'NOT_FOUND' } });
        },
      },
      defect: {
        type: tick,
        subscribe() {
          throw new Error('secret of the house');
        },
      },
      breaks: {
        type: tick,
        subscribe: () => ({
          ...ticks({ to: 1 }),
          next: async () => {
            throw new Error('secret of the house');
          },
        }),
        resolve: (event) => event,
      },
    },
  });
  return {
    schema: new GraphQLSchema({ query, mutation, subscription }),
    get openSources() {
      return state.openSources;
    },
    get pulled() {
      return state.pulled;
    },
    get mutations() {
      return state.mutations;
    },
    contexts: state.contexts,
    emit() {
      emitted += 1;
      const event = { number: emitted, text: '' };
      for (const wake of [...waiting]) wake(event);
    },
  };
}
