/** The bench itself: turns, proofs, goals and second tries. Its cases here work on nothing. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Case, Figure, Goal, Proof, Rig } from '../../bench/figure.ts';
import { selectFigures } from '../../bench/find-figures.ts';
import { grow, growthTable, slope } from '../../bench/growth.ts';
import { rotate } from '../../bench/judge.ts';
import { closedLoop, median, quantile } from '../../bench/load.ts';
import { measureFigure } from '../../bench/measure.ts';
import { plotGrowth } from '../../bench/plot.ts';
import { startProgram } from '../../bench/program.ts';
import { reportText } from '../../bench/report.ts';
import type { FigureResult } from '../../bench/result.ts';
import { measureTwice } from '../../bench/verdict.ts';
import type { main as echo } from './echo-program.ts';

const POSTGRES = { url: 'postgres://nowhere', pid: process.pid };
const EXTENT = { isQuick: true, seconds: 1, warmUpSeconds: 1 };

interface Fake {
  readonly name: string;
  /** Operations of a second, of each repetition after the warm-up. */
  readonly rates: readonly number[];
  /** The same of the turns of the warm-up; they are all alike if absent. */
  readonly warmUp?: readonly number[];
  readonly proofs?: readonly Proof[];
}

function fake(
  { name, rates, warmUp = [], proofs = [{ what: 'rows', expected: 1, found: 1 }] }: Fake,
  turns: string[] = [],
): Case {
  const cold = [...warmUp];
  return {
    name,
    role: 'ours',
    async open(): Promise<Rig> {
      return {
        async run({ repetition }) {
          turns.push(name);
          const operations = (repetition === 0 ? cold.shift() : rates[repetition - 1]) ?? 1;
          return { operations, seconds: 1, latenciesMs: [1, 2, 3], values: { bytes: 7 }, proof: async () => proofs };
        },
        async [Symbol.asyncDispose]() {
          turns.push(`end of ${name}`);
        },
      };
    },
  };
}

const slow = fake({ name: 'limit', rates: [100, 100, 100] });

function figureOf(ours: Case, bounds: Pick<Goal, 'atLeast' | 'atMost' | 'reached'> = { atLeast: 2 }): Figure {
  const goals = [{ metric: 'rate', of: 'ours', against: 'limit', ...bounds }];
  return { name: 'fake', title: 'A fake', cases: [ours, slow], goals };
}

const measure = (figure: Figure, repetitions = 1) => measureFigure(figure, POSTGRES, { ...EXTENT, repetitions });

test('each case is first, second and third equally often, and all are closed in the end', async () => {
  expect([0, 1, 2, 3].map((repetition) => rotate(['a', 'b', 'c'], repetition).join(''))).toEqual([
    ...['abc', 'bca', 'cab', 'abc'],
  ]);
  const turns: string[] = [];
  const cases = ['a', 'b', 'c'].map((name) => fake({ name, rates: [1, 1, 1] }, turns));
  await measure({ name: 'turns', title: 'Turns', cases, goals: [] }, 3);
  expect(turns.join(' ')).toBe('a a b b c c b c a c a b a b c end of c end of b end of a');
});

test('a case warms up until it is no faster, and not for ever', async () => {
  async function turnsOf(warmUp: readonly number[], repetitions = 1) {
    const turns: string[] = [];
    const { cases } = await measure({ ...figureOf(fake({ name: 'ours', rates: [7], warmUp }, turns)), goals: [] });
    expect(cases[0]?.rate.median).toBe(7);
    return turns.filter((turn) => turn === 'ours').length - repetitions;
  }
  expect(await turnsOf([100, 104])).toBe(2);
  expect(await turnsOf([100, 200, 201])).toBe(3);
  expect(await turnsOf([100, 200, 400, 800, 1_600])).toBe(3);
  const turns: string[] = [];
  const ours = fake({ name: 'ours', rates: [7, 7, 7] }, turns);
  const fresh: Case = { ...ours, open: async (bench) => ({ ...(await ours.open(bench)), isFresh: true }) };
  const figure: Figure = { ...figureOf(fresh), isSteady: true };
  await measure(figure, 3);
  expect(turns.join(' ')).toBe('ours end of ours');
});

test('what is compared is the median of the repetitions, without the warm-up', async () => {
  const { cases, goals } = await measure(figureOf(fake({ name: 'ours', rates: [900, 210, 1] })), 3);
  expect(cases[0]).toMatchObject({ rate: { median: 210, min: 1, max: 900 }, p50: { median: 2 }, p99: { median: 3 } });
  expect(goals[0]).toMatchObject({ ratio: 2.1, score: 1.05 });
  expect([median([4, 1, 3, 2]), quantile([5, 1, 3], 0.5)]).toEqual([2.5, 3]);
});

test('a time is judged by what it has at most, a value as it is, and what was not measured is no goal', async () => {
  const ours = fake({ name: 'ours', rates: [1, 1, 1] });
  const judged = async (goal: Figure['goals'][number]) =>
    (await measure({ ...figureOf(ours), goals: [goal] })).goals[0];
  expect(await judged({ metric: 'p50', of: 'ours', against: 'limit', againstMetric: 'p99', atMost: 1 })).toMatchObject({
    ...{ ratio: 2 / 3, score: 1.5 },
  });
  expect(await judged({ metric: 'bytes', of: 'ours', against: null, atMost: 3.5 })).toMatchObject({ score: 0.5 });
  await expect(judged({ metric: 'rate', of: 'ours', against: 'nobody', atLeast: 1 })).rejects.toThrow('no case nobody');
  await expect(judged({ metric: 'frames', of: 'ours', against: null, atLeast: 1 })).rejects.toThrow('has no frames');
});

test('a figure whose proof fails, or that proves nothing, cannot be measured', async () => {
  const proofs = [{ what: 'rows and acknowledgements', expected: 10, found: 9 }];
  const lying = await measureTwice(() => measure(figureOf(fake({ name: 'ours', rates: [900], proofs }))));
  expect(lying).toEqual({
    result: null,
    failure: 'cannot be measured: ours: rows and acknowledgements: expected 10, found 9',
  });
  const silent = await measureTwice(() => measure(figureOf(fake({ name: 'ours', rates: [900], proofs: [] }))));
  expect(silent.failure).toContain('ours does not prove its work');
  const idle = await measureTwice(() => measure(figureOf(fake({ name: 'ours', rates: [0, 0, 0] }))));
  expect(idle.failure).toContain('ours: nothing was done');
});

test('cases are opened together, those that are open are closed when one cannot be, and a quick run has those of goals', async () => {
  const turns: string[] = [];
  const opened: string[] = [];
  const ours = fake({ name: 'ours', rates: [1] }, turns);
  const broken: Case = {
    ...slow,
    async open() {
      opened.push('limit');
      throw new Error('no such thing');
    },
  };
  const late: Case = {
    ...ours,
    async open(bench) {
      await new Promise((done) => setImmediate(done));
      opened.push('ours');
      return ours.open(bench);
    },
  };
  await expect(measure({ ...figureOf(ours), cases: [late, broken] })).rejects.toThrow('no such thing');
  expect([opened, turns]).toEqual([['limit', 'ours'], ['end of ours']]);
  const peer: Case = { ...fake({ name: 'peer', rates: [1] }), role: 'peer' };
  const figure = { ...figureOf(ours), cases: [ours, slow, peer] };
  const names = async (isQuick: boolean) =>
    (await measureFigure(figure, POSTGRES, { ...EXTENT, isQuick, repetitions: 1 })).cases.map(({ name }) => name);
  expect(await names(true)).toEqual(['ours', 'limit']);
  expect(await names(false)).toEqual(['ours', 'limit', 'peer']);
});

test('a figure is asked for by its name, and several by the beginning of theirs', () => {
  const found = ['claim', 'claim-64', 'claim-keys', 'burst'].map((name) => ({
    figure: { ...figureOf(slow), name },
  }));
  const names = (...only: string[]) => selectFigures(found, only).map(({ figure }) => figure.name);
  expect(names('claim')).toEqual(['claim']);
  expect(names('claim-', 'burst')).toEqual(['claim-64', 'claim-keys', 'burst']);
  expect(names()).toHaveLength(4);
});

test('a figure fails that misses 0.7 of its goal twice, and is measured no more often', async () => {
  const at = (rate: number) => measure(figureOf(fake({ name: 'ours', rates: [rate, rate, rate] })));
  async function tried(...rates: number[]) {
    const left = [...rates];
    const verdict = await measureTwice(() => at(left.shift() ?? Number.NaN));
    return { failure: verdict.failure, left: left.length };
  }
  const failure = 'rate of ours / limit, at least 2: 1.30, at the second try, too';
  expect(await tried(130, 130, 500)).toEqual({ failure, left: 1 });
  expect(await tried(130, 150, 500)).toEqual({ failure: null, left: 1 });
  expect(await tried(150, 130)).toEqual({ failure: null, left: 1 });
});

test('where a goal is not reached yet, what was reached of it is kept', async () => {
  const ratio = async (rate: number, bounds: Pick<Goal, 'atLeast' | 'atMost' | 'reached'>) =>
    measureTwice(() => measure(figureOf(fake({ name: 'ours', rates: [rate, rate, rate] }), bounds)));
  const low = await ratio(80, { atLeast: 2, reached: 1 });
  expect(low).toMatchObject({ failure: null, result: { goals: [{ ratio: 0.8, score: 0.4, kept: 0.8 }] } });
  expect((await ratio(60, { atLeast: 2, reached: 1 })).failure).toContain('at least 2: 0.600');
  expect((await ratio(400, { atMost: 1, reached: 3 })).failure).toBeNull();
  expect((await ratio(500, { atMost: 1, reached: 3 })).failure).toContain('at most 1: 5.00');
  expect((await ratio(500, { atLeast: 2, reached: 9 })).failure).toBeNull();
});

test('the report has the losing rows and the reason of a failure', async () => {
  const result: FigureResult = await measure(figureOf(fake({ name: 'ours', rates: [130, 130, 130] })));
  const machine = {
    node: 'v24',
    cpus: '2 x CPU',
    memoryGib: 1,
    pgbench: 'none',
    fsyncsPerSecond: 1,
    postgres: {},
    peers: {},
  };
  const figures = [
    { name: 'fake', result, failure: null },
    { name: 'broken', result: null, failure: 'cannot be measured: no' },
  ];
  const text = reportText({ at: 'now', isQuick: true, wholeSeconds: 1, machine, figures });
  expect(text).toContain('| fake | rate of ours / limit, at least 2 | 1.3 | missed |');
  expect(text).toContain('| broken | | | cannot be measured: no |');
  expect(text).toMatch(/^\| limit \| ours \| 100 \(100 - 100\) \|/m);
});

test('growth is told by the slope of the logarithms, in a table and in a plot', async () => {
  const ours = fake({ name: 'ours', rates: [1, 1, 1] });
  const growth = { axis: 'rows', sizes: [1, 10, 100] as const, metric: 'rate' };
  const { cases } = await measure(figureOf(ours));
  const at = (size: number) => cases.map((one) => ({ ...one, rate: { median: size ** 0.5, min: 0, max: 0 } }));
  const grown = await grow({ ...figureOf(ours), growth }, { isQuick: false }, async (size) => at(size));
  expect(grown?.lines.map(({ points }) => slope(points).toFixed(2))).toEqual(['0.50', '0.50']);
  const broken = await grow({ ...figureOf(ours), growth }, { isQuick: false }, async (size) => {
    if (size === 10) throw new Error('full');
    return at(size);
  });
  expect(broken).toMatchObject({ failure: 'at 10: full', lines: [{ points: [{ size: 1, value: 1 }] }, {}] });
  const both = [grown, broken].flatMap((one) => one ?? []);
  expect(growthTable(both)).toContain('| fake | ours | rows: 1, 10, 100 | rate | 1.00 | 3.16 | 10.0 | 0.50 |');
  expect(growthTable(both)).toContain('| fake | at 10: full |');
  expect(plotGrowth(both).match(/<circle/g)).toHaveLength(8);
  expect(await grow(figureOf(ours), EXTENT, async (size) => at(size))).toBeNull();
});

test('a closed loop has as many outstanding as it says, and fails with the first', async () => {
  let open = 0;
  let most = 0;
  const work = async () => {
    open += 1;
    most = Math.max(most, open);
    await new Promise((done) => setImmediate(done));
    open -= 1;
  };
  const load = await closedLoop({ seconds: 0.05, outstanding: 5 }, work);
  expect(most).toBe(5);
  expect(load.latenciesMs).toHaveLength(load.operations);
  await expect(closedLoop({ seconds: 5, outstanding: 2 }, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
});

test('a program answers from a process of its own, with its errors, and ends', async () => {
  const file = new URL(`file://${fileURLToPath(new URL('echo-program.ts', import.meta.url))}`);
  const program = await startProgram<typeof echo>(file, { greeting: 'hello' });
  expect(await program.call('greet', 'you')).toEqual({ text: 'hello you', pid: program.pid });
  expect(program.pid).not.toBe(process.pid);
  await expect(program.call('fail')).rejects.toThrow('it does not');
  // @ts-expect-error -- It has nothing of this name.
  await expect(program.call('nothing')).rejects.toThrow('the program has no nothing');
  await program[Symbol.asyncDispose]();
  await expect(program.call('greet', 'you')).rejects.toThrow('has ended');
  await expect(startProgram(file, null as never)).rejects.toThrow('greeting');
});
