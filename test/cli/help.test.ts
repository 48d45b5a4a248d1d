import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { OPTIONS } from '../../src/config/options.ts';
import { runCommand } from './run-command.ts';

const SOURCE = join(import.meta.dirname, '../../src');

function leaves(command: Command, path: readonly string[] = []): { path: readonly string[]; command: Command }[] {
  if (command.commands.length === 0) return [{ path, command }];
  return command.commands.flatMap((child) => leaves(child, [...path, child.name()]));
}

const commands = leaves(createProgram(async () => {}));
const names = commands.map(({ path }) => path.join(' '));

test('every command is there', () => {
  expect(names).toEqual([
    ...['up', 'serve', 'work', 'migrate', 'doctor', 'demo'],
    ...['project create', 'project list', 'project pause', 'project resume', 'project limit'],
    ...[
      'build start',
      'build watch',
      'build logs',
      'build list',
      'build show',
      'build cancel',
      'build priority',
      'build retry',
    ],
    ...['build redeliver', 'build cancel-many', 'build retry-many'],
    ...['build tell', 'build answer', 'build approve', 'build reject'],
    ...['task enqueue', 'task list', 'task show', 'task cancel', 'task requeue', 'task redeliver', 'task stats'],
    ...['task watch', 'task work'],
    ...['task-type set', 'task-type list', 'task-type delete'],
    ...['schedule create', 'schedule update', 'schedule list', 'schedule show', 'schedule next'],
    ...['schedule pause', 'schedule resume', 'schedule delete'],
    ...['queue show', 'queue pause', 'queue resume', 'queue limit'],
    ...['token create', 'token list', 'token rotate', 'token revoke'],
    ...[
      'credential set',
      'credential list',
      'credential limit',
      'credential delete',
      'credential rotate-key',
      'agents',
    ],
    ...['worker list', 'worker show', 'worker cordon', 'worker uncordon', 'worker evict', 'worker drain'],
    ...[
      'worker enrol-token',
      'worker enrolments',
      'worker revoke-enrolment',
      'worker enrol',
      'audit list',
      'stats rebuild',
    ],
    'help',
  ]);
});

test.each(names)(
  '%s: --help and the help command say the same, and every flag and argument is described',
  async (name) => {
    const { command } = commands.find(({ path }) => path.join(' ') === name) ?? {};
    expect(command?.description()).not.toBe('');
    for (const option of command?.options ?? []) expect(option.description, option.flags).not.toBe('');
    for (const argument of command?.registeredArguments ?? []) expect(argument.description).not.toBe('');
    const asked = await runCommand([...name.split(' '), '--help']);
    const told = await runCommand(['help', ...name.split(' ')]);
    expect(asked).toMatchObject({ exitCode: 0, stderr: '' });
    expect(asked.stdout).toContain(`Usage: slipway ${name}`);
    expect(told).toEqual(asked);
  },
);

test.each(names.filter((name) => name !== 'help'))('%s has --json', (name) => {
  const { command } = commands.find(({ path }) => path.join(' ') === name) ?? {};
  expect(command?.options.map(({ long }) => long)).toContain('--json');
});

test('help names the exit codes and the configuration', async () => {
  const { stdout } = await runCommand(['help']);
  expect(stdout).toContain('3 the build failed');
  const { stdout: config } = await runCommand(['help', 'config']);
  for (const { env } of Object.values(OPTIONS)) expect(config).toContain(env);
});

test.each([
  [['build', 'lst'], "unknown command 'lst'"],
  [['build', 'list', '--limit', '0'], 'whole number from 1 to 100'],
  [['build', 'list', '--status', 'DONE'], 'Allowed choices are PENDING'],
  [['build', 'start', 'x'], '--project'],
  [['build', 'start', '-p', 'x', '--var', 'name', 'x'], 'NAME=VALUE'],
  [['build', 'start', '-p', 'x', '--run-after', 'soon', 'x'], '2026-11-20T23:00:00Z'],
  [['build', 'start', '-p', 'x', '--default-decision', 'MAYBE', 'x'], 'Allowed choices are APPROVE, REJECT'],
  [['build', 'tell', 'x#1', 'x', '--steer', '--interrupt'], "'--steer' cannot be used with option '--interrupt'"],
  [['build', 'start', '-p', 'x', '--supersede', 'BRANCH:NEVER', 'x'], 'CANCEL_IN_PROGRESS'],
  [['schedule', 'create', 'x', '-p', 'x', 'x'], '--cron'],
  [['build', 'tell', 'x#1'], "missing required argument 'text'"],
  [['build', 'answer', 'question_1'], "missing required argument 'answer'"],
  [['token', 'create', 'x', '--scope', 'admin', '--expires', '5'], '90m, 12h or 30d'],
  [['help', 'nothing'], "there is no help on 'nothing'"],
])('%s is refused with a reason', async (args, reason) => {
  const { exitCode, stdout, stderr } = await runCommand(args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
  expect(stderr).toContain(reason);
});

/** The files that are loaded with a file, without those that it loads later. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file) || !existsSync(file)) return seen;
  seen.add(file);
  for (const [, path] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) (?!type )[^;]*?from '(\.[^']+)'/gm)) {
    loadedWith(join(dirname(file), path ?? ''), seen);
  }
  return seen;
}

test('a command that talks to the API loads neither the server nor the database', () => {
  for (const entry of ['main.ts', 'build-list.ts', 'build-watch.ts', 'build-start.ts']) {
    const loaded = [...loadedWith(join(SOURCE, 'cli', entry))].map((file) => relative(SOURCE, file));
    expect(loaded.length).toBeGreaterThan(5);
    expect(loaded.filter((file) => !/^((cli|client|config|std)\/|\.\.\/package\.json$)/.test(file))).toEqual([]);
  }
});
