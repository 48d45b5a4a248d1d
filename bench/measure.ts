/** One figure: opens its cases, runs them in turns, has them prove their work, and judges its goals. */
import { loadavg } from 'node:os';
import { createBench } from './bench.ts';
import { readCpuUs } from './cpu.ts';
import type { BenchPostgres } from './database.ts';
import type { Case, Figure, Rig, Turn } from './figure.ts';
import { judge, type Repetition, rotate, summarize } from './judge.ts';
import type { CaseResult, FigureResult } from './result.ts';

const WARM_UP_SECONDS = 0.5;

export interface Extent {
  readonly isQuick: boolean;
  /** Of one case in one repetition. */
  readonly seconds: number;
  readonly repetitions: number;
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
  const open: OpenCase[] = [];
  for (const about of cases) {
    const rig = resources.use(await about.open(bench));
    open.push({ about, rig, repetitions: [] });
  }
  for (let repetition = 0; repetition <= extent.repetitions; repetition += 1) {
    const seconds = repetition === 0 ? Math.min(WARM_UP_SECONDS, extent.seconds) : extent.seconds;
    for (const opened of rotate(open, repetition)) {
      const measured = await measureTurn(opened, { seconds, repetition }, postgres);
      if (repetition > 0) opened.repetitions.push(measured);
    }
  }
  return open.map(({ about, repetitions }) => summarize(about, repetitions));
}

async function measureTurn({ about, rig }: OpenCase, turn: Turn, postgres: BenchPostgres): Promise<Repetition> {
  const watched = [process.pid, postgres.pid];
  const before = readCpuUs(watched);
  const { proof, ...sample } = await rig.run(turn);
  const after = readCpuUs(watched);
  if (!(sample.operations > 0)) throw new Error(`${about.name}: nothing was done in ${sample.seconds} s`);
  const proofs = await proof();
  if (proofs.length === 0) throw new Error(`${about.name} does not prove its work`);
  for (const { what, expected, found } of proofs) {
    if (expected !== found) throw new Error(`${about.name}: ${what}: expected ${expected}, found ${found}`);
  }
  const [clientUs = null, postgresUs = null] = after.map((us, index) => {
    const from = before[index] ?? null;
    return us === null || from === null ? null : us - from;
  });
  return { sample, clientUs, postgresUs };
}

/** Rejects when the figure cannot be measured: a case fails, or does not prove its work. */
export async function measureFigure(figure: Figure, postgres: BenchPostgres, extent: Extent): Promise<FigureResult> {
  const before = loadavg()[0] ?? 0;
  const cases = await measureCases(figure.cases, postgres, { ...extent, size: null });
  return {
    name: figure.name,
    title: figure.title,
    seconds: extent.seconds,
    repetitions: extent.repetitions,
    load: [before, loadavg()[0] ?? 0],
    cases,
    goals: figure.goals.map((goal) => judge(goal, cases)),
  };
}
