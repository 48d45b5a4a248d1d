/**
 * The program around a sandbox without a network: opens its proxy, runs bubblewrap, and ends as it ends. It belongs to
 * the run and not to the worker, which may die in between. Arguments: a JSON of EgressProgramInput, then bubblewrap's.
 */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { constants } from 'node:os';
import { type EgressRules, openEgressProxy } from './egress-proxy.ts';

export interface EgressProgramInput {
  readonly rules: EgressRules;
  /** Working folder of the proxy: a socket's path may have 107 bytes at most, so that it is named from here. */
  readonly folder: string;
  /** Name of the socket in `folder`. */
  readonly socket: string;
  /** Name of the file in `folder` that gets one line per refused host. */
  readonly notices: string;
}

/** Different refusals that are told of. */
const MAX_NOTICES = 50;
const LOOK_AT_PARENT_EVERY_MS = 250;

const [json = '', program = '', ...args] = process.argv.slice(2);
const { rules, folder, socket, notices } = JSON.parse(json) as EgressProgramInput;
const cwd = process.cwd();
const parent = process.ppid;
const told = new Set<string>();

process.chdir(folder);
await openEgressProxy({ rules, socket, onRefused: tell });
const sandbox = spawn(program, args, { cwd, stdio: 'inherit' });
sandbox.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(127);
});
sandbox.on('exit', (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
// What is under a supervisor ends with it.
setInterval(() => {
  if (process.ppid === parent) return;
  sandbox.kill('SIGKILL');
  process.exit(137);
}, LOOK_AT_PARENT_EVERY_MS);

/** In the file first: whoever reads the line in the log finds it there. */
function tell(message: string): void {
  if (told.size > MAX_NOTICES || told.has(message)) return;
  told.add(message);
  const line = told.size > MAX_NOTICES ? 'Further refused connections are not listed.' : message;
  appendFileSync(notices, `${line}\n`, { mode: 0o600 });
  process.stderr.write(`slipway: ${line}\n`);
}
