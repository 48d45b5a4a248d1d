/** Queries that come at the same time: what they share, and what each has of its own. */
import { type ExecutionResult, parse } from 'graphql';
import { expect, test } from 'vitest';
import { schema as productSchema } from '../../schema/index.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import type { Operation } from '../../src/server/operations.ts';
import { SharedQueries } from '../../src/server/shared-queries.ts';
import { createFixture } from './fixture-schema.ts';
import { openFixtureServer } from './open-fixture-server.ts';

const { schema } = createFixture();
const viewer: Viewer = {
  ...{ tokenId: 't', secretVersion: 1, name: 'test', actor: 'token_test' },
  ...{ scopes: ['admin'], projectIds: null, expiresAt: null },
};
const hello = parse('query A($name: String) { hello(name: $name) } query B { hello } mutation M { increment }');

/** Executions that end when they are told to. */
function openExecutions(queries: SharedQueries) {
  const begun: PromiseWithResolvers<ExecutionResult>[] = [];
  const ask = (key: string) =>
    queries.run(key, () => {
      const execution = Promise.withResolvers<ExecutionResult>();
      begun.push(execution);
      return execution.promise;
    });
  const end = (index: number) => begun[index]?.resolve({ data: { index } });
  return { begun, ask, end };
}

test('those that come together, or while the same query is under way, are one execution, and none begins long after they came', async () => {
  const queries = new SharedQueries(schema);
  const { begun, ask, end } = openExecutions(queries);
  const [first, together, other] = [ask('a'), ask('a'), ask('b')];
  await expect.poll(() => begun.length).toBe(2);
  const [second, third] = [ask('a'), ask('a')];
  end(1);
  end(0);
  expect(await Promise.all([first, together, other])).toEqual([0, 0, 1].map((index) => ({ data: { index } })));
  await expect.poll(() => begun.length).toBe(3);
  // The first one has ended; this one has come while the second is under way.
  const fourth = ask('a');
  end(2);
  const shared = await Promise.all([second, third]);
  expect(shared).toEqual([{ data: { index: 2 } }, { data: { index: 2 } }]);
  // Nobody ends the third: the next one does not wait for it.
  await expect.poll(() => begun.length).toBe(4);
  const fifth = ask('a');
  await expect.poll(() => begun.length).toBe(5);
  end(4);
  end(3);
  expect(await Promise.all([fourth, fifth])).toEqual([{ data: { index: 3 } }, { data: { index: 4 } }]);
  // Nothing is under way, and nothing is left of it.
  void ask('a');
  await expect.poll(() => begun.length).toBe(6);

  for (const extensions of [undefined, { rateLimit: { remaining: 1 } }]) {
    for (const { data } of shared) {
      const result = { data: data ?? null, ...(extensions ? { extensions } : {}) };
      expect(queries.write(result)).toBe(JSON.stringify(result));
    }
  }
});

test('only queries of one token with the same rights, operation and variables are the same', () => {
  const queries = new SharedQueries(schema);
  const one: Operation = { document: hello, operationName: 'A', variables: { name: 'x' }, viewer };
  const others: Operation[] = [
    { ...one, operationName: 'B' },
    { ...one, variables: { name: 'y' } },
    { ...one, variables: null },
    { ...one, document: parse('query A($name: String) { hello(name: $name) }') },
    { ...one, viewer: { ...viewer, tokenId: 'u' } },
    { ...one, viewer: { ...viewer, projectIds: [] } },
    { ...one, viewer: { ...viewer, scopes: ['builds:read'] } },
  ];
  const key = queries.keyOf(one);
  expect(queries.keyOf({ ...one, variables: { name: 'x' }, viewer: { ...viewer } })).toBe(key);
  const keys = others.map((other) => queries.keyOf(other));
  expect(new Set([key, ...keys]).size).toBe(1 + others.length);
  expect(keys).not.toContain(null);
  expect(queries.keyOf({ ...one, operationName: 'M' })).toBeNull();
  expect(queries.keyOf({ ...one, variables: { name: 'x'.repeat(5_000) } })).toBeNull();
  const ofRequest = parse('{ ...Own } fragment Own on Query { rateLimit { remaining } }');
  expect(new SharedQueries(productSchema).keyOf({ document: ofRequest, viewer })).toBeNull();
});

test('over HTTP each answer is whole, of its own token, and says what is left of its budget', async () => {
  await using opened = await openFixtureServer();
  const other = await opened.createToken();
  const ask = async (authorization: string) => {
    const response = await fetch(opened.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify({ query: '{ viewerName hello defect }' }),
    });
    return (await response.json()) as ExecutionResult;
  };
  const names = new Map<string, Set<unknown>>();
  for (const authorization of [opened.authorization, other.authorization]) names.set(authorization, new Set());
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const authorization = n % 2 === 0 ? opened.authorization : other.authorization;
      const answer = await ask(authorization);
      names.get(authorization)?.add(answer.data?.viewerName);
      return { authorization, answer };
    }),
  );
  for (const set of names.values()) expect(set.size).toBe(1);
  expect(new Set([...names.values()].flatMap((set) => [...set])).size).toBe(2);
  for (const authorization of names.keys()) {
    const own = answers.filter((one) => one.authorization === authorization).map(({ answer }) => answer);
    expect(new Set(own.map(({ data }) => JSON.stringify(data))).size).toBe(1);
    for (const { extensions } of own) expect(extensions?.rateLimit).toMatchObject({ cost: expect.any(Number) });
  }

  const { data, errors } = await opened.post('{ rateLimit unmarkedLimit }');
  expect(data).toEqual({ rateLimit: expect.any(Number), unmarkedLimit: expect.any(Number) });
  expect(errors).toEqual([]);
  // A field that is not marked cannot give one request's answer to others.
  expect((await opened.post('{ unmarkedLimit }')).code).toBe('INTERNAL');
});
