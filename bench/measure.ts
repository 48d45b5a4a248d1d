/** One figure: opens its cases, runs them in turns, has them prove their work, and judges its goals. */
import { loadavg } from 'node:os';
import { type Bench, createBench } from './bench.ts';
import { readCpuUs } from './cpu.ts';
import type { BenchPostgres } from './database.ts';
import type { Case, Figure, Rig, Sample, Turn } from './figure.ts';
import { judge, type Repetition, rotate, summarize } from './judge.ts';
import type { CaseResult, FigureResult } from './result.ts';

/** A turn of the warm-up. */
const WARM_UP_SECONDS = 0.25;
/** A warm-up ends with the first turn that is less faster than the best before it. */
const FASTER = 1.05;

export interface Extent {
  readonly isQuick: boolean;
  /** Of one case in one repetition. */
  readonly seconds: number;
  readonly repetitions: number;
  /** Each case warms up for so many seconds at least, and no longer than three times as many. */
  readonly warmUpSeconds: number;
}

interface OpenCase {
  readonly about: Case;
  readonly rig: Rig;
  readonly repetitions: Repetition[];
}

/** A figure without its goals, at one size. */
export async function measureCases(
  cases: readonly Case[],
  postgres: BenchPostgres,
  extent: Extent & { readonly size: number | null },
): Promise<CaseResult[]> {
  await using resources = new AsyncDisposableStack();
  const bench = createBench({ postgres, ...extent }, resources);
  const open = await openCases(cases, bench, resources);
  for (const opened of open) if (!opened.rig.isFresh) await warmUp(opened, extent.warmUpSeconds);
  for (let repetition = 1; repetition <= extent.repetitions; repetition += 1) {
    for (const opened of rotate(open, repetition)) {
      opened.repetitions.push(await measureTurn(opened, { seconds: extent.seconds, repetition }, postgres));
    }
  }
  return open.map(({ about, repetitions }) => summarize(about, repetitions));
}

/** All at the same time. When one cannot be opened, the others are closed after they have been. */
async function openCases(cases: readonly Case[], bench: Bench, resources: AsyncDisposableStack): Promise<OpenCase[]> {
  const opening = await Promise.allSettled(
    cases.map(async (about): Promise<OpenCase> => ({ about, rig: await about.open(bench), repetitions: [] })),
  );
  const open = opening.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  for (const { rig } of open) resources.use(rig);
  for (const one of opening) if (one.status === 'rejected') throw one.reason;
  return open;
}

/** Until a case is no faster than it was: its code is compiled, its plans are made. What it does is proved, and not counted. */
async function warmUp(opened: OpenCase, atLeast: number): Promise<void> {
  let best = 0;
  for (let spent = 0; spent < 3 * atLeast; ) {
    const sample = await opened.rig.run({ seconds: WARM_UP_SECONDS, repetition: 0 });
    await prove(opened.about, sample.proof);
    const rate = sample.operations / sample.seconds;
    if (spent >= atLeast && rate < best * FASTER) return;
    best = Math.max(best, rate);
    // At least what was asked for: a turn that says that it took no time must end, too.
    spent += Math.max(sample.seconds, WARM_UP_SECONDS);
  }
}

async function measureTurn({ about, rig }: OpenCase, turn: Turn, postgres: BenchPostgres): Promise<Repetition> {
  const watched = [process.pid, postgres.pid];
  const before = readCpuUs(watched);
  const { proof, ...sample } = await rig.run(turn);
  const after = readCpuUs(watched);
  if (!(sample.operations > 0)) throw new Error(`${about.name}: nothing was done in ${sample.seconds} s`);
  await prove(about, proof);
  const [clientUs = null, postgresUs = null] = after.map((us, index) => {
    const from = before[index] ?? null;
    return us === null || from === null ? null : us - from;
  });
  return { sample, clientUs, postgresUs };
}

async function prove({ name }: Case, proof: Sample['proof']): Promise<void> {
  const proofs = await proof();
  if (proofs.length === 0) throw new Error(`${name} does not prove its work`);
  for (const { what, expected, found } of proofs) {
    if (expected !== found) throw new Error(`${name}: ${what}: expected ${expected}, found ${found}`);
  }
}

/** Rejects when the figure cannot be measured: a case fails, or does not prove its work. */
export async function measureFigure(figure: Figure, postgres: BenchPostgres, extent: Extent): Promise<FigureResult> {
  const before = loadavg()[0] ?? 0;
  const startedAt = performance.now();
  const { isQuick } = extent;
  const repetitions = isQuick && figure.isSteady ? 1 : extent.repetitions;
  const compared = isQuick ? comparedCases(figure) : figure.cases;
  const cases = await measureCases(compared, postgres, { ...extent, repetitions, size: null });
  return {
    name: figure.name,
    title: figure.title,
    seconds: extent.seconds,
    repetitions,
    load: [before, loadavg()[0] ?? 0],
    wholeSeconds: (performance.now() - startedAt) / 1_000,
    cases,
    goals: figure.goals.map((goal) => judge(goal, cases)),
  };
}

/** Those that a goal names; all when there is none. */
function comparedCases({ cases, goals }: Figure): readonly Case[] {
  const compared = cases.filter(({ name }) => goals.some(({ of, against }) => name === of || name === against));
  return compared.length > 0 ? compared : cases;
}
