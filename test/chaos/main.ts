/**
 * `npm run chaos -- --minutes N [--seed S] [--builds N] [--at-least N] [--json FILE]`: a whole Slipway under random faults, judged by
 * the oracle. Exit code 0: every promise was kept, and at least so many builds were asked for; 1: not so; 2: wrong arguments; 130: ended by a signal.
 */
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeReport } from './report.ts';
import { runChaos } from './run-chaos.ts';

const USAGE = 'npm run chaos -- --minutes N [--seed S] [--builds N] [--at-least N] [--json FILE]';
const MAX_MINUTES = 24 * 60;
const BUILDS_PER_MINUTE = 120;

interface Arguments {
  readonly minutes: number;
  readonly seed: number;
  /** At most. */
  readonly builds: number;
  readonly atLeast: number;
  readonly json: string | null;
}

/** Null when they make no sense. */
function readArguments(): Arguments | null {
  try {
    const { values } = parseArgs({
      options: {
        ...{ minutes: { type: 'string' }, seed: { type: 'string' } },
        ...{ builds: { type: 'string' }, 'at-least': { type: 'string' }, json: { type: 'string' } },
      } as const,
    });
    const minutes = Number(values.minutes ?? 3);
    const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
    const builds = Number(values.builds ?? Math.ceil(minutes * BUILDS_PER_MINUTE));
    const atLeast = Number(values['at-least'] ?? 1);
    const areWhole = [seed, builds, atLeast].every(Number.isInteger);
    const isValid = minutes > 0 && minutes <= MAX_MINUTES && areWhole && builds > 0 && atLeast <= builds;
    return isValid ? { minutes, seed, builds, atLeast, json: values.json ?? null } : null;
  } catch {
    return null;
  }
}

async function main(): Promise<number> {
  const args = readArguments();
  if (!args) {
    console.error(`usage: ${USAGE}`);
    return 2;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  const started = performance.now();
  const keepIn = join(tmpdir(), `chaos-${args.seed}`);
  console.log(`chaos: seed ${args.seed}, ${args.minutes} min`);
  const report = await runChaos({
    ...{ ...args, keepIn, signal: interrupted.signal },
    say: (line) => console.log(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${line}`),
  });
  console.log(describeReport(report));
  if (args.json) await writeFile(args.json, `${JSON.stringify(report, null, 2)}\n`);
  if (report.violations.length > 0) console.log(`logs and rows: ${keepIn}`);
  if (interrupted.signal.aborted) return 130;
  const isEnough = report.counts.builds >= args.atLeast;
  if (!isEnough) console.log(`too few builds to say anything: ${args.atLeast} are wanted`);
  return isEnough && report.violations.length === 0 ? 0 : 1;
}

process.exit(await main());
