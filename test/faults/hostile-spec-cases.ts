/** H49 to H64: build specs. Those of test/e2e/bad-specs.ts, sent to a process of its own, and what only JSON can say. */
import { BAD_SPECS, type BadSpec } from '../e2e/bad-specs.ts';
import { type HostileCase, type HostileTable, type HostileTarget, post } from './hostile-frame.ts';

const START = `mutation ($input: StartBuildInput!) { startBuild(input: $input) {
  __typename ... on UserError { code message } ... on InvalidInputError { issues { path message } }
  ... on StartBuildPayload { build { id spec { prompt labels { key value } } } } } }`;

/** One project for all rows. */
const projects = new WeakMap<HostileTarget, Promise<string>>();

function projectOf(target: HostileTarget): Promise<string> {
  const known = projects.get(target);
  if (known) return known;
  const query =
    'mutation { createProject(input: { name: "Specs", repositoryUrl: "https://git.example.com/a/b.git" }) { ... on CreateProjectPayload { project { id } } } }';
  const made = post(target, { query }).then(({ data }) => data.createProject.project.id as string);
  projects.set(target, made);
  return made;
}

async function start(target: HostileTarget, spec: object, more: object = {}) {
  const input = { projectId: await projectOf(target), spec: { prompt: 'x', ...spec }, ...more };
  const { status, code, data, errors } = await post(target, { query: START, variables: { input } });
  return { status, code, result: data?.startBuild ?? null, message: errors[0]?.message };
}

/** By the field that is wrong. */
const NUMBERS: readonly (readonly [h: number, is: (row: BadSpec) => boolean])[] = [
  [49, ({ what }) => what === 'an empty prompt'],
  [50, ({ what }) => what.startsWith('a prompt of 1 MiB')],
  [51, ({ what }) => what === 'a prompt with NUL'],
  [52, ({ what }) => what.startsWith('a prompt with')],
  [53, ({ what }) => what === 'a prompt of spaces'],
  [59, ({ path }) => path[0] === 'priority' || path[0] === 'limits'],
  [60, ({ path }) => path[0] === 'template'],
  [61, ({ path }) => path[0] === 'provider'],
  [
    62,
    ({ what }) => what === 'callback "http:///callback"' || what === 'callback "not a url"' || what === 'callback ""',
  ],
];

const specs: readonly HostileCase[] = BAD_SPECS.flatMap((row) => {
  const [h] = NUMBERS.find(([, is]) => is(row)) ?? [];
  if (h === undefined) return [];
  const issues = [{ path: ['input', 'spec', ...row.path] }];
  return [
    {
      h,
      name: row.what,
      send: (target: HostileTarget) => start(target, row.spec),
      expected: { status: 200, result: { __typename: 'InvalidInputError', code: row.code, issues } },
    },
  ];
});

/** Accepted, and given back as it came: nothing in it means anything. */
function kept(h: number, name: string, prompt: string): HostileCase {
  return {
    h,
    name,
    send: (target) => start(target, { prompt }),
    expected: { status: 200, result: { __typename: 'StartBuildPayload', build: { spec: { prompt } } } },
  };
}

const wrongType = (h: number, name: string, spec: object): HostileCase => ({
  h,
  name,
  send: (target) => start(target, spec),
  expected: { code: 'INVALID_INPUT', result: null },
});

/** An input that JSON.stringify could not write, and what graphql says of it: never more than a few lines. */
const raw = (h: number, name: string, spec: string): HostileCase => ({
  h,
  name,
  send: async (target) => {
    const projectId = await projectOf(target);
    const query = JSON.stringify(START);
    const body = `{"query":${query},"variables":{"input":{"projectId":"${projectId}","spec":{"prompt":"x",${spec}}}}}`;
    const { code, data, text } = await post(target, body);
    return { code, result: data?.startBuild ?? null, short: text.length < 20_000 };
  },
  expected: { code: 'INVALID_INPUT', result: null, short: true },
});

const deep = (levels: number) => `"limits":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
const many = (count: number) => Array.from({ length: count }, (_, index) => `"k${index}":${index}`).join();
const wrongLabel = `{"key":1,"value":"${'x'.repeat(100_000)}"}`;

const values: readonly HostileCase[] = [
  kept(
    54,
    'a prompt from right to left, with colours',
    '\u202egnihton\u202c \u001b[31mred\u001b[0m \u001b]52;c;aGk=\u0007',
  ),
  raw(55, 'a value of 100 levels', deep(100)),
  raw(55, 'a value of 5,000 levels', deep(5_000)),
  raw(55, 'a value of 100,000 levels', deep(100_000)),
  raw(56, '10,000 keys', many(10_000)),
  raw(56, '1 MB in the wrong place', `"priority":"${'x'.repeat(1_000_000)}"`),
  raw(56, '1 MB in each of ten errors', `"labels":[${Array(10).fill(wrongLabel)}]`),
  {
    h: 56,
    name: '10,000 labels',
    send: (target) =>
      start(target, { labels: Array.from({ length: 10_000 }, (_, i) => ({ key: `k${i}`, value: 'v' })) }),
    expected: { result: { code: 'INVALID_INPUT', issues: [{ path: ['input', 'spec', 'labels'] }] } },
  },
  {
    h: 57,
    name: '__proto__ and constructor as labels',
    send: async (target) => {
      const labels = ['constructor', 'hasOwnProperty', 'toString'].map((key) => ({ key, value: 'plain' }));
      const { result } = await start(target, { labels });
      return result.build.spec.labels.toSorted((a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : 1));
    },
    expected: ['constructor', 'hasOwnProperty', 'toString'].map((key) => ({ key, value: 'plain' })),
  },
  raw(57, '__proto__ as a key of the input', '"__proto__":{"admin":true}'),
  kept(
    58,
    'templates in a prompt',
    `\${process.env.HOME} {{ constructor.constructor('return 1')() }} {% assign a = 1 %} <%= 1 %>`,
  ),
  wrongType(59, 'a priority of 2^31', { priority: 2 ** 31 }),
  wrongType(59, 'a priority of 1.5', { priority: 1.5 }),
  wrongType(59, 'a time of 1e12 seconds', { limits: { wallSeconds: 1e12 } }),
  ...['', ' ', 'a\0', '\u00fc', 'x'.repeat(300)].map((idempotencyKey) => ({
    h: 64,
    name: `the idempotency key ${JSON.stringify(idempotencyKey.slice(0, 10))}`,
    send: (target: HostileTarget) => start(target, {}, { idempotencyKey }),
    expected: { result: { code: 'INVALID_INPUT', issues: [{ path: ['input', 'idempotencyKey'] }] } },
  })),
];

export const SPEC_TABLES: readonly HostileTable[] = [
  { noun: 'build specs', cases: specs },
  { noun: 'values', cases: values },
];
