/** Subscribers of any kind side by side: each gets what an execution of its own would give, and no other's. */
import fc from 'fast-check';
import {
  executeSubscriptionEvent,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isObjectType,
  parse,
  validateSubscriptionArgs,
} from 'graphql';
import { expect, it } from 'vitest';
import { createContext } from '../../schema/context.ts';
import { schema as productSchema } from '../../schema/index.ts';
import { rightsOf } from '../../src/auth/rights.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import { SharedExecutions } from '../../src/server/shared-executions.ts';
import { createFixture } from './fixture-schema.ts';

const { schema } = createFixture();

const DOCUMENTS = [
  'subscription { idle { number rights } }',
  'subscription { idle { rights number later } }',
  'subscription S($name: String = "default") { idle { number echo(name: $name) } }',
  'subscription S($name: String) { idle { later echo(name: $name) ...Rest } } fragment Rest on Tick { rights }',
  'subscription S($name: String) { idle { ...Rest } } fragment Rest on Tick { number echo(name: $name) viewerName }',
  'subscription A { idle { number viewerName } } subscription B { idle { viewerName rights } }',
].map((source) => parse(source));

const RIGHTS = [
  { scopes: ['admin'], projectIds: null },
  { scopes: ['admin'], projectIds: ['p', 'q'] },
  { scopes: ['admin'], projectIds: ['q', 'p'] },
  { scopes: ['builds:read', 'work'], projectIds: null },
  { scopes: ['work', 'builds:read'], projectIds: null },
  { scopes: [], projectIds: [] },
] as const;
const viewers = fc
  .record({ token: fc.constantFrom('1', '2', '3'), rights: fc.constantFrom(...RIGHTS) })
  .map(({ token, rights }): Viewer => {
    const name = `token ${token}`;
    return { tokenId: token, secretVersion: 1, name, actor: name, expiresAt: null, ...rights };
  });
const subscribers = fc.record({
  document: fc.constantFrom(...DOCUMENTS),
  operationName: fc.constantFrom('A', 'B'),
  variableValues: fc.constantFrom({}, { name: null }, { name: 'x' }, { name: 'y', other: 1 }),
  viewer: viewers,
});

const argsOf = ({ document, operationName, variableValues }: Omit<Subscriber, 'viewer'>, viewer: Viewer) => {
  const operations = document.definitions.filter(({ kind }) => kind === 'OperationDefinition');
  const args = validateSubscriptionArgs({
    ...{ schema, document, variableValues, operationName: operations.length > 1 ? operationName : null },
    contextValue: { viewer },
  });
  if (!('schema' in args)) throw new Error(JSON.stringify(args));
  return args;
};
type Subscriber = typeof subscribers extends fc.Arbitrary<infer S> ? S : never;

it('gives each subscriber of any group what an execution of its own gives', async () => {
  const seen = { subscribers: 0, executions: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(subscribers, { minLength: 20, maxLength: 60 }), async (some) => {
      const executions = new SharedExecutions({
        newContext(viewer) {
          seen.executions += 1;
          return { viewer };
        },
        onShared() {},
        finish: (result) => result,
      });
      const event = { number: 7, text: '' };
      const groups = some.map((one) => executions.join(argsOf(one, one.viewer), one.viewer));
      for (const [index, one] of some.entries()) {
        const execution = groups[index]?.run(event);
        if (execution?.isUnderWay) await new Promise<void>((ready) => execution.wait({ ready }));
        const own = await executeSubscriptionEvent({ ...argsOf(one, one.viewer), rootValue: event });
        expect(String(execution?.payload?.json)).toBe(JSON.stringify(own));
        seen.subscribers += 1;
      }
      for (const group of groups) group.leave();
      expect(executions.size).toBe(0);
    }),
    { numRuns: 100 },
  );
  console.log('shared executions:', seen);
  expect(seen.executions).toBeLessThan(0.9 * seen.subscribers);
});

it('reads for events of one turn together, and anew for those of the next', async () => {
  const contexts: { readonly viewer: Viewer; shared: number }[] = [];
  const executions = new SharedExecutions({
    newContext(viewer) {
      const context = { viewer, shared: 0 };
      contexts.push(context);
      return context;
    },
    onShared(context) {
      context.shared += 1;
    },
    finish: (result) => result,
  });
  const viewer = { ...RIGHTS[0], tokenId: '1', secretVersion: 1, name: 'a', actor: 'a', expiresAt: null };
  const document = parse('subscription { idle { number later } }');
  const group = executions.join(argsOf({ document, operationName: 'A', variableValues: {} }, viewer), viewer);
  for (let turn = 1; turn <= 2; turn += 1) {
    const running = [1, 2, 3].map((number) => group.run({ number, text: '' }));
    // Whoever waits for the last need not wait for another one.
    await new Promise<void>((ready) => running.at(-1)?.wait({ ready }));
    expect(running.map(({ isUnderWay }) => isUnderWay)).toEqual([false, false, false]);
    expect(contexts.map(({ shared }) => shared)).toEqual(Array.from({ length: turn }, () => 2));
  }
});

/** The fields that a subscription can reach, by `Type.field`. */
function fieldsBelowSubscriptions(of: GraphQLSchema): Map<string, GraphQLField<unknown, unknown>> {
  const fields = new Map<string, GraphQLField<unknown, unknown>>();
  const seen = new Set<GraphQLNamedType>();
  const walk = (type: GraphQLNamedType | null | undefined): void => {
    if (!type || seen.has(type)) return;
    seen.add(type);
    if (isAbstractType(type)) for (const possible of of.getPossibleTypes(type)) walk(possible);
    if (!isObjectType(type)) return;
    for (const field of Object.values(type.getFields())) {
      fields.set(`${type.name}.${field.name}`, field);
      walk(getNamedType(field.type));
    }
  };
  walk(of.getSubscriptionType());
  return fields;
}

/** Whatever is asked of it, or called, gives itself. */
const anything: object = new Proxy(() => {}, {
  get(_target, name) {
    if (name === 'then') return undefined;
    if (name === Symbol.iterator) return () => [anything][Symbol.iterator]();
    if (name === Symbol.toPrimitive) return () => '1';
    return name === 'length' ? 1 : anything;
  },
  apply: () => anything,
  construct: () => anything,
});

/** The fields that look at more of their viewer than what he may do, and are not marked as `perViewer`. */
async function lookAtTheirViewer(of: GraphQLSchema): Promise<{ readonly asked: number; readonly found: string[] }> {
  const found = new Set<string>();
  let asked = 0;
  for (const [name, field] of fieldsBelowSubscriptions(of)) {
    if (field.extensions.perViewer === true || !field.resolve) continue;
    asked += 1;
    const viewer = new Proxy(rightsOf({ scopes: ['admin'], projectIds: null }), {
      get(rights, property) {
        if (property !== 'scopes' && property !== 'projectIds') found.add(name);
        return Reflect.get(rights, property);
      },
    });
    const context = createContext(anything as Parameters<typeof createContext>[0], viewer);
    // Most get on with anything; what others throw is not the question.
    await Promise.race([ask(field, context), new Promise((turn) => setImmediate(turn))]);
  }
  return { asked, found: [...found] };
}

async function ask({ resolve }: GraphQLField<unknown, unknown>, context: object): Promise<void> {
  try {
    await resolve?.(anything, anything as Record<string, unknown>, context, anything as never);
  } catch {}
}

it('no field below a subscription looks at its viewer beyond its rights, unless it is marked', async () => {
  const { asked, found } = await lookAtTheirViewer(productSchema);
  console.log(`${asked} fields below subscriptions`);
  expect(found).toEqual([]);
  expect(asked).toBeGreaterThan(200);
  expect((await lookAtTheirViewer(schema)).found).toEqual(['Tick.unmarkedName']);
});

it('what looks at its viewer unmarked is refused, and the viewer is not told to others', async () => {
  const executions = new SharedExecutions({
    newContext: (viewer) => ({ viewer }),
    onShared() {},
    finish: (result) => result,
  });
  const viewer = {
    tokenId: '1',
    secretVersion: 1,
    name: 'Ada',
    actor: 'Ada',
    scopes: [],
    projectIds: null,
    expiresAt: null,
  };
  const document = parse('subscription { idle { number unmarkedName } }');
  const group = executions.join(argsOf({ document, operationName: 'A', variableValues: {} }, viewer), viewer);
  const answer = String(group.run({ number: 1, text: '' }).payload?.json);
  expect(answer).toContain("looks at its viewer's name");
  expect(answer).not.toContain('Ada');
});
