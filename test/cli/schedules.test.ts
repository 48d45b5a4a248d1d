/** Schedules, and many builds at once. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApi, type TestApi } from '../support/api.ts';
import { openTestStack, type TestStack } from '../support/orchestrator.ts';
import { runCommand } from './run-command.ts';

let stack: TestStack;
let api: TestApi;
let environment: Record<string, string>;

beforeAll(async () => {
  stack = await openTestStack();
  api = await openTestApi(stack);
  environment = { SLIPWAY_URL: api.url, SLIPWAY_TOKEN: api.token, SLIPWAY_DATA: stack.dataFolder };
  expect(await slipway('project', 'create', 'Boats')).toMatchObject({ exitCode: 0 });
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

const slipway = (...args: readonly string[]) => runCommand(args, { environment });

async function json<T>(...args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await slipway(...args, '--json');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

test('a schedule is made, listed, paused, resumed and deleted', async () => {
  const flags = ['-p', 'boats', '--cron', '30 6 * * MON-FRI', '--time-zone', 'Europe/Berlin', '--overlap', 'QUEUE'];
  const created = await slipway('schedule', 'create', 'nightly', ...flags, '--catch-up-within', '2h', 'Tidy up.');
  expect(created).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('due next at') });
  const id = created.stdout.trim();
  const [listed] = await json<object[]>('schedule', 'list', '-p', 'boats');
  expect(listed).toMatchObject({
    id,
    overlap: 'QUEUE',
    catchUp: 'NONE',
    catchUpSeconds: 7_200,
    spec: { prompt: 'Tidy up.' },
  });
  expect((await slipway('schedule', 'list', '-p', 'boats')).stdout).toMatch(
    /nightly +30 6 \* \* MON-FRI +Europe\/Berlin/,
  );
  const next = await json<string[]>('schedule', 'next', 'nightly', '-p', 'boats', '-n', '3');
  expect(next.map((at) => at.slice(13))).toEqual(expect.arrayContaining([':30:00.000Z']));
  expect(next).toHaveLength(3);
  expect(await slipway('schedule', 'pause', id, '--reason', 'holiday')).toMatchObject({
    stdout: 'nightly is paused.\n',
  });
  expect((await slipway('schedule', 'next', id)).stderr).toContain('holiday');
  expect((await slipway('schedule', 'list', '-p', 'boats')).stdout).toContain('holiday');
  expect((await slipway('schedule', 'resume', id)).stdout).toContain('is due next at');
  expect(await slipway('schedule', 'delete', 'nightly', '-p', 'boats')).toMatchObject({ exitCode: 0 });
  expect((await slipway('schedule', 'list', '-p', 'boats')).stderr).toContain('no schedules');
});

test('of a schedule is changed what is said, and the rest stays', async () => {
  const create = ['schedule', 'create', 'weekly', '-p', 'boats', '--cron', '@weekly', '--overlap', 'QUEUE'];
  const id = (await slipway(...create, '--branch', 'main', '-l', 'team=web', 'Tidy up.')).stdout.trim();
  const update = (...args: readonly string[]) => json<object>('schedule', 'update', 'weekly', '-p', 'boats', ...args);
  const spec = { prompt: 'Tidy up.', branch: 'main', labels: [{ key: 'team', value: 'web' }] };
  const rule = {
    cron: '30 6 * * *',
    overlap: 'QUEUE',
    timeZone: 'Asia/Tokyo',
    catchUp: 'LATEST',
    catchUpSeconds: 7_200,
  };
  const ruled = [
    '--cron',
    '30 6 * * *',
    '--time-zone',
    'Asia/Tokyo',
    '--catch-up',
    'LATEST',
    '--catch-up-within',
    '2h',
  ];
  expect(await update(...ruled)).toMatchObject({ id, name: 'weekly', ...rule, spec });
  const said = { ...spec, branch: 'next', runsOn: ['gpu'], concurrencyKey: 'site' };
  expect(await update('--branch', 'next', '--runs-on', 'gpu', '--concurrency-key', 'site')).toMatchObject({
    ...rule,
    spec: said,
  });
  const renamed = await slipway('schedule', 'update', id, '--name', 'daily', 'Tidy up more.');
  expect(renamed.stdout).toMatch(/^daily is changed, and due next at \d{4}-/);
  const shown = (await slipway('schedule', 'show', 'daily', '-p', 'boats')).stdout;
  expect(shown).toMatch(/When +30 6 \* \* \* \(Asia\/Tokyo\)\n/);
  expect(shown).toMatch(/Prompt +Tidy up more\.\nSpec +\{.*"branch":"next".*\}\n/);
  expect(await json('schedule', 'show', id)).toMatchObject({
    name: 'daily',
    ...rule,
    spec: { ...said, prompt: 'Tidy up more.' },
  });

  const nothing = await slipway('schedule', 'update', id);
  expect([nothing.exitCode, nothing.stderr]).toEqual([1, expect.stringContaining('Say what to change.')]);
  expect((await slipway('schedule', 'update', id, '--cron', 'never')).stderr).toContain('input.cron');
  const unknown = `schedule_${'0'.repeat(32)}`;
  for (const command of ['show', 'update', 'next']) {
    const flags = command === 'update' ? ['--cron', '@daily'] : [];
    const { exitCode, stderr } = await slipway('schedule', command, unknown, ...flags);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`There is no schedule ${unknown}`)]);
  }
});

test('what is wrong with a schedule is said', async () => {
  const seconds = await slipway('schedule', 'create', 'x', '-p', 'boats', '--cron', '* * * * * *', 'Work.');
  expect(seconds).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('seconds are not possible') });
  expect((await slipway('schedule', 'pause', 'x')).stderr).toContain('--project');
  expect((await slipway('schedule', 'pause', 'x', '-p', 'boats')).stderr).toContain('has no schedule x');
});

test('builds are cancelled and repeated together', async () => {
  const start = ['build', 'start', '-p', 'boats', '--run-after', '2099-01-01', '--concurrency-key', 'k'];
  const ids: string[] = [];
  for (const branch of ['a', 'a', 'b']) ids.push((await slipway(...start, '--branch', branch, 'Work.')).stdout.trim());
  const superseding = await slipway(...start, '--branch', 'b', '--supersede', 'branch:cancel-in-progress', 'Work.');
  expect((await slipway('build', 'show', ids[2] ?? '')).stdout).toContain(superseding.stdout.trim());
  expect((await slipway(...start, '--supersede', 'NEVER', 'Work.')).stderr).toContain('CANCEL_IN_PROGRESS');
  const filter = ['-p', 'boats', '--branch', 'a'];
  expect((await slipway('build', 'cancel-many')).stderr).toContain('--older-than');
  const dry = await slipway('build', 'cancel-many', ...filter, '--dry-run');
  expect(dry).toMatchObject({
    exitCode: 0,
    stdout: `${ids[0]}\n${ids[1]}\n`,
    stderr: expect.stringContaining('2 of 2 builds would be'),
  });
  expect(await json('build', 'cancel-many', ...filter, '--older-than', '1h')).toMatchObject({ matched: 0 });
  expect(await json('build', 'cancel-many', ...filter, '-n', '1')).toMatchObject({
    changed: 1,
    ids: [ids[0]],
    hasMore: true,
  });
  expect((await slipway('build', 'cancel-many', ...filter, '--reason', 'enough')).stdout).toBe(`${ids[1]}\n`);
  expect(await json('build', 'retry-many', ...filter)).toMatchObject({
    dryRun: false,
    changed: 2,
    ids: ids.slice(0, 2),
  });
  expect((await slipway('build', 'retry-many', ...filter)).stderr).toContain('0 of 0 builds');
});
