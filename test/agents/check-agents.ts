/**
 * `npm run agents:check [-- AGENT …]`: installs the newest versions of the real agents into `.cache/agents` and runs their
 * tests with them. Prints agent x version x result as a table and, as the last line, as JSON. Exit code 0: everything
 * passed; 1: something failed or could not be had; 2: wrong arguments.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { formatTable } from '../../src/cli/format.ts';
import { type AgentName, findAgent, NPM_AGENTS, VERSIONS_VARIABLE } from '../support/real-agents.ts';

/** What is run with each. */
const TESTS: Readonly<Record<AgentName, string>> = {
  'claude-code': 'claude-code.test.ts',
  codex: 'codex.test.ts',
  gemini: 'gemini.test.ts',
  'claude-agent-acp': 'acp.test.ts',
  opencode: 'opencode.test.ts',
};

const ROOT = join(import.meta.dirname, '../..');
const ASK_TIMEOUT_MS = 60_000;
/** Of the tests of one agent. */
const TEST_TIMEOUT_MS = 20 * 60_000;

interface Checked {
  readonly agent: AgentName;
  readonly package: string;
  /** What `npm test` runs with. */
  readonly pinned: string;
  /** Null when npm did not tell it. */
  readonly newest: string | null;
  readonly result: 'passed' | 'failed' | 'not tested';
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** The names of the tests that failed, or why there were none. */
  readonly problems: readonly string[];
}

/** What is read of vitest's JSON report. */
interface Report {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

async function check(agent: AgentName): Promise<Checked> {
  const { npmName, version: pinned } = NPM_AGENTS[agent];
  const untested = { agent, package: npmName, pinned, result: 'not tested', passed: 0, failed: 0, skipped: 0 } as const;
  const asked = await execa('npm', ['view', npmName, 'version'], { reject: false, timeout: ASK_TIMEOUT_MS });
  const newest = /^\d+\.\d+\.\d+\S*$/.exec(asked.stdout ?? '')?.[0] ?? null;
  if (newest === null) return { ...untested, newest, problems: [`npm does not tell its version: ${asked.stderr}`] };
  process.stderr.write(`${agent} ${newest} …\n`);
  // Read by this process, which installs it, and by its tests.
  process.env[VERSIONS_VARIABLE] = JSON.stringify({ [agent]: newest });
  const found = await findAgent(agent);
  if ('missing' in found) return { ...untested, newest, problems: [found.missing] };
  const report = await runTests(join('test/agents', TESTS[agent]));
  if (typeof report === 'string') return { ...untested, newest, problems: [report] };
  return { ...untested, newest, ...summarize(report) };
}

function summarize({ success, testResults }: Report): Omit<Checked, 'agent' | 'package' | 'pinned' | 'newest'> {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const passed = tests.filter(({ status }) => status === 'passed').length;
  const failed = tests.filter(({ status }) => status === 'failed');
  const messages = testResults.flatMap(({ message }) => (message ? [message] : []));
  const problems = [...failed.map(({ fullName }) => fullName), ...messages];
  const counts = { passed, failed: failed.length, skipped: tests.length - passed - failed.length };
  if (problems.length > 0) return { ...counts, result: 'failed', problems };
  if (!success) return { ...counts, result: 'failed', problems: ['There was an error outside of the tests.'] };
  return { ...counts, result: passed > 0 ? 'passed' : 'not tested', problems };
}

/** The report, or why there is none. */
async function runTests(file: string): Promise<Report | string> {
  const folder = await mkdtemp(join(tmpdir(), 'slipway-agents-check-'));
  const output = join(folder, 'report.json');
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=json', `--outputFile=${output}`];
  try {
    const run = await execa(process.execPath, [vitest, 'run', '--project', 'agents', file, ...reporters], {
      cwd: ROOT,
      reject: false,
      timeout: TEST_TIMEOUT_MS,
      stdin: 'ignore',
      stdout: 'ignore',
    });
    const text = await readFile(output, 'utf8').catch(() => null);
    if (text !== null) return JSON.parse(text) as Report;
    return run.timedOut ? 'The tests did not end in time.' : `There is no report: ${run.stderr.slice(-500)}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const HEAD = ['AGENT', 'PINNED', 'NEWEST', 'RESULT', 'PASSED', 'FAILED', 'SKIPPED'];

function toRow({ agent, pinned, newest, result, passed, failed, skipped }: Checked): string[] {
  return [agent, pinned, newest ?? '-', result, String(passed), String(failed), String(skipped)];
}

const known = Object.keys(NPM_AGENTS) as AgentName[];
const asked = process.argv.slice(2);
const agents = asked.length === 0 ? known : known.filter((name) => asked.includes(name));
if (agents.length < asked.length) {
  process.stderr.write(`npm run agents:check [-- AGENT …]; there are: ${known.join(', ')}\n`);
  process.exit(2);
}
const checked: Checked[] = [];
for (const agent of agents) checked.push(await check(agent));
process.stdout.write(`${formatTable([HEAD, ...checked.map(toRow)])}\n`);
for (const { agent, problems } of checked) {
  for (const problem of problems) process.stdout.write(`${agent}: ${problem}\n`);
}
process.stdout.write(`${JSON.stringify(checked)}\n`);
if (checked.some(({ result }) => result !== 'passed')) process.exitCode = 1;
