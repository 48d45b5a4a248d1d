import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { GraphQLEnumType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../schema/index.ts';
import { failReason, parseScript } from '../src/agents/scripted-steps.ts';
import { SCOPES } from '../src/auth/scope.ts';
import { FAILURE_REASONS } from '../src/builds/build-result.ts';
import { createOutput } from '../src/cli/output.ts';
import { createProgram } from '../src/cli/program.ts';
import { welcome } from '../src/cli/welcome.ts';
import { readConfig } from '../src/config/config.ts';
import { OPTIONS } from '../src/config/options.ts';
import { FENCES, README, ROOT, read } from './support/readme.ts';

describe('the README', () => {
  test('names the commands, and package.json has them', () => {
    const blocks = FENCES.map(({ content }) => content.trim());
    for (const command of ['npm ci && npm run demo', 'npm ci && npm test', 'npm ci && npm start']) {
      expect(blocks).toContain(command);
    }
    const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Record<string, string> };
    const used = [...README.matchAll(/npm (?:run )?(start|test|(?<=run )[a-z]+)/g)].map(([, name = '']) => name);
    expect(new Set(used)).toEqual(new Set(['demo', 'test', 'start', 'dev', 'slipway']));
    for (const name of used) expect(scripts).toHaveProperty(name);
  });

  test('shows what npm start prints', async () => {
    const block = FENCES.find(({ content }) => content.startsWith('Slipway is up.'))?.content ?? '';
    const stdout: string[] = [];
    const write = (chunk: string) => stdout.push(chunk) > 0;
    const io = { stdout: { write }, stderr: { write }, stdin: Readable.from([]), environment: {}, signals: process };
    const config = readConfig({ SLIPWAY_DATA: '/home/you/slipway/.slipway' });
    const url = 'http://127.0.0.1:4400/graphql';
    welcome(createOutput(io as never, {}), {
      url,
      token: 'slipway_…',
      config: { ...config, graphiql: true },
      sandbox: { kind: 'none' },
    });
    expect(stdout.join('')).toContain(block.trim());
  });

  /** Deploy commands are given these; nobody sets them. */
  const given = ['SLIPWAY_COMMIT', 'SLIPWAY_ENVIRONMENT', 'SLIPWAY_RESULT'];

  test('names every option and no other', () => {
    const variables = Object.values(OPTIONS).map(({ env }) => env);
    for (const variable of variables) expect(README).toContain(`| \`${variable}\` |`);
    for (const [name] of README.matchAll(/\b(?:SLIPWAY|ANTHROPIC)_[A-Z_]+\b/g))
      expect([...variables, ...given]).toContain(name);
  });

  test('names every failure reason, status, scope, and step of the scripted agent', () => {
    for (const reason of FAILURE_REASONS) expect(README).toContain(`| \`${reason}\` |`);
    const statuses = schema.getType('BuildStatus') as GraphQLEnumType;
    for (const { name } of statuses.getValues()) expect(README).toMatch(new RegExp(`\\b${name}\\b`));
    for (const scope of SCOPES) expect(README).toContain(`| \`${scope}\` |`);
    const refused = parseScript([{}]);
    const steps = refused.ok ? [] : (refused.message.split(': ')[1]?.slice(0, -1).split(', ') ?? []);
    expect(steps).toContain('write');
    for (const step of steps) expect(README).toContain(`| \`{ "${step}":`);
    const played = /Reasons that can be played: ([^.]+)\./.exec(README)?.[1]?.match(/\w+/g);
    expect(played).toEqual(failReason.options);
  });

  test('names every command, and no other', () => {
    const program = createProgram(async () => {});
    const leaves = program.commands.flatMap((command) =>
      command.commands.length === 0
        ? [command.name()]
        : command.commands.map((sub) => `${command.name()} ${sub.name()}`),
    );
    for (const name of leaves) expect(README).toContain(`\`slipway ${name}\``);
    const named = [...README.matchAll(/(?:`slipway |slipway -- )([a-z-]+)(?: ([a-z-]+))?([^\n`]*)/g)];
    expect(named.length).toBeGreaterThan(20);
    for (const [line, first, second, rest = ''] of named) {
      const group = program.commands.find((command) => command.name() === first);
      const command = group?.commands.length ? group.commands.find((sub) => sub.name() === second) : group;
      expect(command, line).toBeDefined();
      const flags = rest.match(/(?<= )--[a-z-]+/g) ?? [];
      for (const flag of flags)
        expect(
          command?.options.map(({ long }) => long),
          line,
        ).toContain(flag);
    }
  });

  test('has one row for every word', () => {
    const [, glossary = ''] = README.split('\n## Words\n');
    const words = [...glossary.matchAll(/^\| ([^|]+) \| [^|]+ \|$/gm)].map(([, word]) => word);
    for (const word of ['project', 'build', 'attempt', 'phase', 'event', 'log', 'job', 'worker', 'agent / provider'])
      expect(words).toContain(word);
    for (const word of ['runtime', 'workspace', 'template', 'callback / delivery', 'cursor', 'artifact'])
      expect(words).toContain(word);
    expect(new Set(words).size).toBe(words.length);
  });
});

describe.each(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'])('%s', (document) => {
  const source = read(document).replace(/^```.*?^```/gms, '');

  test('links to what there is', () => {
    const links = [...source.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
    const broken = links.filter((target) => {
      if (target.startsWith('https://')) return false;
      const [file = '', anchor] = target.split('#');
      if (file && !existsSync(join(ROOT, file))) return true;
      return anchor !== undefined && !anchorsOf(file || document).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('names tests that there are', () => {
    const named = [...source.matchAll(/“([^”]+)” in \[[^\]]+\]\((test\/[^)]+)\)/g)];
    if (document === 'ARCHITECTURE.md' || document === 'SECURITY.md') expect(named.length).toBeGreaterThan(10);
    const missing = named.filter(([, name = '', file = '']) => !read(file).includes(name));
    expect(missing.map(([match]) => match)).toEqual([]);
  });

  test('names files that there are', () => {
    const files = [...source.matchAll(/`((?:src|schema|test|migrations)\/[\w/.-]+\.\w+)`/g)].map(
      ([, file = '']) => file,
    );
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });
});

function anchorsOf(document: string): string[] {
  const headings = read(document).matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}
