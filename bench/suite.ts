/** All figures one after the other, on one Postgres; the report of them. */
import { writeFile } from 'node:fs/promises';
import { type BenchPostgres, openBenchPostgres } from './database.ts';
import { runFigure } from './figure-runner.ts';
import { type FoundFigure, findFigures } from './find-figures.ts';
import { type Grown, grow, growthTable } from './growth.ts';
import { describeMachine } from './machine.ts';
import type { Extent } from './measure.ts';
import { plotGrowth } from './plot.ts';
import { figureText, type Report, reportText } from './report.ts';
import { measureTwice, type Verdict } from './verdict.ts';

const QUICK: Extent = { isQuick: true, seconds: 0.25, repetitions: 3, warmUpSeconds: 0.25 };
const FULL: Extent = { isQuick: false, seconds: 3, repetitions: 5, warmUpSeconds: 3 };
/** What is compared is ten times as much, not a tenth more. */
const GROWTH: Extent = { isQuick: false, seconds: 1, repetitions: 3, warmUpSeconds: 1 };

export interface SuiteOptions {
  readonly quick: boolean;
  /** Names, or beginnings of names; none for all. */
  readonly only: readonly string[];
  readonly json: boolean;
  readonly list: boolean;
  readonly growth: boolean;
}

/** Gives the exit code. */
export async function runSuite({ quick, only, json, list, growth }: SuiteOptions): Promise<number> {
  const found = (await findFigures(only)).filter(({ figure }) => list || only.length > 0 || !(quick && figure.isLong));
  if (list) {
    for (const { figure, file } of found) console.log(`${figure.name.padEnd(24)} ${figure.title} (${file})`);
    return 0;
  }
  if (found.length === 0) throw new Error(`No figure is called ${only.join(' or ')}, or so in the beginning.`);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(name)));
  const startedAt = performance.now();
  await using postgres = await openBenchPostgres();
  const { url, pid } = postgres;
  if (growth)
    return await runGrowth(
      found,
      { postgres: { url, pid }, extent: quick ? QUICK : GROWTH, signal: stop.signal },
      json,
    );
  const measured = await measureAll(found, {
    postgres: { url, pid },
    extent: quick ? QUICK : FULL,
    signal: stop.signal,
  });
  const machine = await describeMachine(postgres);
  const wholeSeconds = (performance.now() - startedAt) / 1_000;
  const report: Report = { at: new Date().toISOString(), isQuick: quick, wholeSeconds, machine, figures: measured };
  console.log(json ? JSON.stringify(report, null, 2) : reportText(report));
  const failed = measured.filter(({ failure }) => failure !== null);
  for (const { name, failure } of failed) console.error(`${name}: ${failure}`);
  return failed.length > 0 ? 1 : 0;
}

/** Where the README shows it. */
const PLOT = new URL('growth.svg', import.meta.url);

async function runGrowth(
  found: readonly FoundFigure[],
  { signal, ...given }: Circumstances,
  json: boolean,
): Promise<number> {
  const grown: Grown[] = [];
  for (const { figure, file } of found) {
    const one = await grow(figure, given.extent, async (size) => {
      console.error(`${figure.name}: ${size.toLocaleString('en-US')} ${figure.growth?.axis}`);
      const outcome = await runFigure({ name: figure.name, file, size, ...given }, signal);
      if (!('cases' in outcome)) throw new Error('its process has measured something else');
      return outcome.cases;
    });
    if (one) grown.push(one);
  }
  await writeFile(PLOT, plotGrowth(grown));
  console.log(json ? JSON.stringify({ at: new Date().toISOString(), grown }, null, 2) : growthTable(grown));
  return grown.some(({ failure }) => failure !== null) ? 1 : 0;
}

interface Circumstances {
  readonly postgres: BenchPostgres;
  readonly extent: Extent;
  readonly signal: AbortSignal;
}

async function measureAll(found: readonly FoundFigure[], { signal, ...given }: Circumstances) {
  const measured: (Verdict & { readonly name: string })[] = [];
  for (const { figure, file } of found) {
    const verdict = await measureTwice(async () => {
      signal.throwIfAborted();
      const outcome = await runFigure({ name: figure.name, file, size: null, ...given }, signal);
      if (!('figure' in outcome)) throw new Error('its process has measured something else');
      return outcome.figure;
    });
    measured.push({ name: figure.name, ...verdict });
    // On the other stream while it runs, so that what stdout gets is the report alone.
    console.error(figureText({ name: figure.name, ...verdict }).join('\n'));
  }
  return measured;
}
