/** How our cases grow: each at 1x, 10x and 100x of what there is more of; a table, the slope, and a plot. */
import type { Figure, Growth } from './figure.ts';
import { medianOf } from './judge.ts';
import type { CaseResult } from './result.ts';

/** The quick run looks at a tenth of each size. */
const QUICK_SHARE = 10;

export interface Grown {
  readonly name: string;
  readonly sizes: readonly number[];
  readonly growth: Growth;
  /** Of each size that could be measured. */
  readonly lines: readonly Line[];
  readonly failure: string | null;
}

/** One case. */
export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Point {
  readonly size: number;
  /** Median of the growth's metric. */
  readonly value: number;
}

/** Measures each size, one after the other; what cannot be measured ends the figure, and is said. */
export async function grow(
  figure: Figure,
  { isQuick }: { readonly isQuick: boolean },
  measure: (size: number) => Promise<readonly CaseResult[]>,
): Promise<Grown | null> {
  const { name, growth } = figure;
  if (!growth) return null;
  const lines = new Map<string, Point[]>();
  let failure: string | null = null;
  const sizes = growth.sizes.map((size) => (isQuick ? size / QUICK_SHARE : size));
  for (const size of sizes) {
    try {
      for (const result of await measure(size)) {
        const value = medianOf(result, growth.metric);
        lines.set(result.name, [...(lines.get(result.name) ?? []), { size, value }]);
      }
    } catch (error) {
      failure = `at ${size}: ${error instanceof Error ? error.message.split('\n')[0] : error}`;
      break;
    }
  }
  return { name, sizes, growth, lines: [...lines].map(([line, points]) => ({ name: line, points })), failure };
}

/** Of the logarithms: 0 is flat, 1 grows as what there is of it does. Least squares; NaN of less than two points. */
export function slope(points: readonly Point[]): number {
  const xs = points.map(({ size }) => Math.log(size));
  const ys = points.map(({ value }) => Math.log(value));
  const mean = (of: readonly number[]) => of.reduce((sum, value) => sum + value, 0) / of.length;
  const [middleX, middleY] = [mean(xs), mean(ys)];
  const up = xs.reduce((sum, x, index) => sum + (x - middleX) * ((ys[index] ?? 0) - middleY), 0);
  return up / xs.reduce((sum, x) => sum + (x - middleX) ** 2, 0);
}

export function growthTable(grown: readonly Grown[]): string {
  const rows = grown.flatMap(({ name, sizes: all, growth, lines, failure }) => [
    ...lines.map(({ name: line, points }) => {
      const cells = all.map((size) => points.find((point) => point.size === size)?.value.toPrecision(3) ?? '-');
      const sizes = all.map((size) => size.toLocaleString('en-US')).join(', ');
      return `| ${[name, line, `${growth.axis}: ${sizes}`, growth.metric, ...cells, slope(points).toFixed(2)].join(' | ')} |`;
    }),
    ...(failure ? [`| ${name} | ${failure} | | | | | | |`] : []),
  ]);
  return ['| figure | case | of what | metric | 1x | 10x | 100x | slope |', `|${' --- |'.repeat(8)}`, ...rows].join(
    '\n',
  );
}
