/** Build specs that must be refused: by which code, and at which field below `spec`. */
import { LOCAL_NAMES, PRIVATE_HOSTS } from '../std/private-hosts.ts';

export interface BadSpec {
  readonly what: string;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly code: string;
  readonly path: readonly string[];
}

function each(
  what: string,
  values: readonly unknown[],
  { code, path, spec }: Pick<BadSpec, 'code' | 'path'> & { spec: (value: unknown) => Record<string, unknown> },
): BadSpec[] {
  return values.map((value) => ({ what: `${what} ${show(value)}`, spec: spec(value), code, path }));
}

function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}… (${text.length} characters)` : text;
}

const MIB = 1024 * 1024;

const prompts: readonly (readonly [string, string])[] = [
  ['an empty prompt', ''],
  ['a prompt of spaces', ' \t\n\u00a0\u3000 '],
  ['a prompt of 1 MiB and 1 byte', 'x'.repeat(MIB + 1)],
  ['a prompt of 1 MiB and 2 bytes in fewer characters', '\u20ac'.repeat(Math.ceil((MIB + 1) / 3))],
  ['a prompt with NUL', 'a\0b'],
  ['a prompt with half a surrogate pair', 'a\ud83db'],
  ['a prompt with the other half', 'a\ude00b'],
];

const branches = [
  ...['', ' ', 'a b', '-b', '--upload-pack=x', '+main', 'refs/heads/main', 'HEAD', 'FETCH_HEAD', '@', 'a@{1}', 'a..b'],
  ...['a~1', 'a^', 'a:b', 'a?', 'a*', 'a[b', 'a\\b', 'a.', '.a', 'a/.b', '/a', 'a/', 'a//b', 'a.lock', 'a.lock/b'],
  ...['a\nb', 'a\0b', 'a\u007fb', 'a\ud83d', 'x'.repeat(201), '\u20ac'.repeat(67)],
];

const urls = [
  ...[...PRIVATE_HOSTS, ...LOCAL_NAMES].map((host) => `http://${host}/callback`),
  ...['', 'not a url', 'file:///etc/passwd', 'ftp://bot.example.com/', 'https://user:secret@bot.example.com/'],
  ...['https://bot.example.com:22/', 'https://bot.example.com/#part', ' https://bot.example.com/', 'http:///callback'],
];

const limits: readonly (readonly [string, readonly number[]])[] = [
  ['wallSeconds', [0, -1, 86_401]],
  ['silenceSeconds', [0, -1, 86_401]],
  ['lingerSeconds', [0, -1, 86_401]],
  ['maxRetries', [-1, 1001]],
  ['maxTurns', [0, -1, 10_001]],
  ['maxTokens', [0, -1, 1_000_000_000_001]],
  ['maxCostUsd', [0, -0.01, 10_001]],
];

const labels = (count: number) => Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: 'v' }));
const site = (...variables: readonly (readonly [string, string])[]) => ({
  template: 'static-site',
  variables: variables.map(([name, value]) => ({ name, value })),
});
const INVALID = 'INVALID_INPUT';

export const BAD_SPECS: readonly BadSpec[] = [
  ...prompts.map(([what, prompt]) => ({ what, spec: { prompt }, code: INVALID, path: ['prompt'] })),
  ...each('branch', branches, { code: 'INVALID_REF', path: ['branch'], spec: (branch) => ({ branch }) }),
  ...each('callback', urls, {
    code: 'CALLBACK_URL_DENIED',
    path: ['callbackUrl'],
    spec: (callbackUrl) => ({ callbackUrl }),
  }),
  ...each('callback', [`https://bot.example.com/${'a'.repeat(2048)}`], {
    code: INVALID,
    path: ['callbackUrl'],
    spec: (callbackUrl) => ({ callbackUrl }),
  }),
  ...limits.flatMap(([name, values]) =>
    each(name, values, { code: INVALID, path: ['limits', name], spec: (value) => ({ limits: { [name]: value } }) }),
  ),
  ...each('priority', [-101, 101], { code: INVALID, path: ['priority'], spec: (priority) => ({ priority }) }),
  ...each('provider', ['nobody', '', 'Scripted', '__proto__'], {
    code: 'UNKNOWN_PROVIDER',
    path: ['provider'],
    spec: (provider) => ({ provider }),
  }),
  ...each('template', ['nothing', '', '../static-site', 'static-site@9.9.9', '__proto__'], {
    code: 'UNKNOWN_TEMPLATE',
    path: ['template'],
    spec: (template) => ({ template }),
  }),
  ...each('model', ['', ' ', 'x'.repeat(201), 'a\0b', 'a\ud83d'], {
    code: INVALID,
    path: ['model'],
    spec: (model) => ({ model }),
  }),
  { what: '33 labels', spec: { labels: labels(33) }, code: INVALID, path: ['labels'] },
  { what: 'a label twice', spec: { labels: [...labels(1), ...labels(1)] }, code: INVALID, path: ['labels'] },
  {
    what: 'a key of a label',
    spec: { labels: [...labels(1), { key: 'a b', value: '' }] },
    code: INVALID,
    path: ['labels', '1', 'key'],
  },
  {
    what: 'a value of a label',
    spec: { labels: [{ key: 'a', value: 'x'.repeat(257) }] },
    code: INVALID,
    path: ['labels', '0', 'value'],
  },
  {
    what: 'variables without a template',
    spec: { variables: [{ name: 'title', value: 'T' }] },
    code: INVALID,
    path: ['variables'],
  },
  {
    what: 'a variable that is not declared',
    spec: site(['title', 'T'], ['colour', 'red']),
    code: INVALID,
    path: ['variables', 'colour'],
  },
  { what: 'a required variable missing', spec: site(), code: INVALID, path: ['variables', 'title'] },
  { what: 'a required variable blank', spec: site(['title', ' ']), code: INVALID, path: ['variables', 'title'] },
  {
    what: 'a variable against its pattern',
    spec: site(['title', 'T'], ['language', '<script>']),
    code: INVALID,
    path: ['variables', 'language'],
  },
  { what: 'a variable twice', spec: site(['title', 'A'], ['title', 'B']), code: INVALID, path: ['variables'] },
  {
    what: '101 variables',
    spec: site(...Array.from({ length: 101 }, (_, index) => [`v${index}`, ''] as const)),
    code: INVALID,
    path: ['variables'],
  },
];
