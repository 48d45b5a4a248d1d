/** A command as it is run in a sandbox: another command, around it. */
import { isIP } from 'node:net';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addressDenied } from '../std/outbound-url.ts';
import type { EgressProgramInput } from './egress-program.ts';
import type { RunFiles } from './run-files.ts';
import type { DetachedCommand, WorkspacePaths } from './runtime.ts';
import type { Bubblewrap } from './sandbox.ts';
import { type SandboxEgress, sandboxArguments } from './sandbox-arguments.ts';
import { sandboxView } from './sandbox-view.ts';
import { addedShellVariables } from './supervisor.ts';

export interface SandboxOptions {
  readonly bubblewrap: Bubblewrap;
  /** Further files and folders that every run may read. Absolute. */
  readonly readable: readonly string[];
  /** The folder that no run may see, but its own workspace in it. Absolute. */
  readonly hidden: string;
}

export interface SandboxedRun {
  readonly sandbox: SandboxOptions;
  readonly paths: WorkspacePaths;
  readonly files: RunFiles;
}

/** Published, the sources are JavaScript. */
const EXTENSION = extname(import.meta.url);
const program = (name: string) => fileURLToPath(new URL(`./${name}${EXTENSION}`, import.meta.url));
const PROXY = program('egress-program');
const FORWARDER = {
  source: program('egress-forwarder'),
  // A name that says what it is: there is no package.json in the sandbox.
  target: `/run/slipway/egress-forwarder${EXTENSION === '.ts' ? '.mts' : '.mjs'}`,
};

/** The command to start instead. Throws when what it needs cannot be read. */
export async function sandboxCommand(run: SandboxedRun, command: DetachedCommand): Promise<DetachedCommand> {
  const { sandbox, paths } = run;
  const egress = egressOf(run, command);
  const view = await sandboxView({
    path: command.env.PATH ?? '',
    programs: [command.argv[0], ...(command.programs ?? [])],
    files: [...(command.files ?? []), ...(egress === null ? [] : [egress.inside.node])],
    readable: sandbox.readable,
    hidden: sandbox.hidden,
    git: paths.git,
  });
  const none = command.network.access === 'ALL' ? 'host' : 'none';
  const args = sandboxArguments({
    paths,
    view,
    network: egress?.inside ?? none,
    cwd: command.cwd,
    inbox: command.inbox ? run.files.inbox : null,
    shellVariables: addedShellVariables(command.env),
    argv: command.argv,
  });
  const bubblewrap: [string, ...string[]] = [sandbox.bubblewrap.program, ...args];
  if (egress === null) return { ...command, argv: bubblewrap };
  return { ...command, argv: [process.execPath, PROXY, JSON.stringify(egress.outside), ...bubblewrap] };
}

/** Null when the run needs no proxy: it may reach everything, or nothing at all. */
function egressOf({ files }: SandboxedRun, { network, reaches = [] }: DetachedCommand) {
  if (network.access === 'ALL' || (network.hosts.length === 0 && reaches.length === 0)) return null;
  const all = [...network.hosts, ...reaches];
  const inside: SandboxEgress = {
    socket: join(files.folder, 'egress.sock'),
    forwarder: FORWARDER,
    node: process.execPath,
    reachesLoopback: all.some(isPrivateAddress),
  };
  const outside: EgressProgramInput = {
    rules: { hosts: network.hosts, trusted: reaches },
    folder: files.folder,
    socket: basename(inside.socket),
    notices: basename(files.notices),
  };
  return { inside, outside };
}

function isPrivateAddress(pattern: string): boolean {
  const host = pattern.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1');
  return isIP(host) !== 0 && addressDenied(host);
}
