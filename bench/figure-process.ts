/** Measures one figure in a process of its own: what an earlier one has left on the heap does not slow it down. */
import type { BenchPostgres } from './database.ts';
import { figuresOf } from './find-figures.ts';
import { type Extent, measureCases, measureFigure } from './measure.ts';
import type { CaseResult, FigureResult } from './result.ts';

export interface Order {
  readonly name: string;
  /** In the folder of figures. */
  readonly file: string;
  readonly postgres: BenchPostgres;
  readonly extent: Extent;
  /** Our cases at this size, instead of all for the goals. */
  readonly size: number | null;
}

export type Outcome =
  | { readonly figure: FigureResult }
  | { readonly cases: readonly CaseResult[] }
  | { readonly failure: string };

async function carryOut({ name, file, postgres, extent, size }: Order): Promise<Outcome> {
  const found = (await figuresOf(file)).find(({ figure }) => figure.name === name);
  if (!found) throw new Error(`there is no figure ${name}`);
  const { figure } = found;
  if (size === null) return { figure: await measureFigure(figure, postgres, extent) };
  const grown = figure.growth?.cases;
  const cases = figure.cases.filter((one) => (grown ? grown.includes(one.name) : one.role === 'ours'));
  return { cases: await measureCases(cases, postgres, { ...extent, size }) };
}

process.once('message', async (order: Order) => {
  const outcome = await carryOut(order).catch((error: unknown) => ({
    failure: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }));
  // What a peer has left running must not keep the process.
  process.send?.(outcome, () => process.exit());
});
process.once('disconnect', () => process.exit(1));
