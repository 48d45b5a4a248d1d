/** The arguments of bubblewrap for one run. Everything that is not named here does not exist in the sandbox. */
import type { WorkspacePaths } from './runtime.ts';
import type { SandboxView } from './sandbox-view.ts';

/** Without the network namespace: only some runs have one of their own. */
export const NAMESPACES: readonly string[] = [
  ...['--unshare-user', '--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
  // No user namespace inside the sandbox: most holes of the kernel are found behind one.
  '--disable-userns',
  // Also for root: files stay as far as they were, and nothing inside has a reason to believe that it is root.
  ...['--uid', '65534', '--gid', '65534', '--cap-drop', 'ALL'],
  ...['--hostname', 'slipway'],
  // The namespace ends with bubblewrap, and bubblewrap with the supervisor.
  '--die-with-parent',
  // Also the reason why a signal to the supervisor's group does not reach the program: see signalSandbox.
  '--new-session',
];

/** Bytes of /tmp, which is in memory. TMPDIR is on disk. */
const TMP_BYTES = 512 * 1024 * 1024;

/** Where the proxy's socket and the program that leads to it are in the sandbox. */
const EGRESS_SOCKET = '/run/slipway/egress.sock';
const EGRESS_PORT = 3128;

/** What the program in the sandbox finds instead of a network. */
export interface SandboxEgress {
  /** Of the proxy, outside. */
  readonly socket: string;
  /** The program inside: its path outside and inside. */
  readonly forwarder: { readonly source: string; readonly target: string };
  readonly node: string;
  /** Hosts on loopback that the proxy is to reach; without them loopback is the sandbox's own. */
  readonly reachesLoopback: boolean;
}

/**
 * - The forwarder closes its stdout when it listens; that is what the substitution waits for.
 * - Shells and bubblewrap set variables by themselves: those that were not asked for go.
 * - A crash leaves no core file, which may hold keys.
 */
const START = `ulimit -c 0; unset -v $1; shift; exec "$@"`;
const START_WITH_EGRESS = `ulimit -c 0; : $("$2" "$3" &); unset -v $1; shift 3; exec "$@"`;

export interface SandboxRun {
  readonly paths: WorkspacePaths;
  readonly view: SandboxView;
  /** `host`: that of the machine. An egress: no other network. */
  readonly network: 'host' | 'none' | SandboxEgress;
  readonly cwd: string;
  /** A file that the program reads and others write; null: none. */
  readonly inbox: string | null;
  /** Names of variables that shells set and nobody asked for, separated by spaces. */
  readonly shellVariables: string;
  readonly argv: readonly [string, ...string[]];
}

export function sandboxArguments(run: SandboxRun): string[] {
  const { paths, view, network, cwd, inbox } = run;
  const egress = typeof network === 'string' ? null : network;
  return [
    ...NAMESPACES,
    ...(network === 'host' ? [] : ['--unshare-net']),
    ...['--proc', '/proc', '--dev', '/dev', '--size', String(TMP_BYTES), '--tmpfs', '/tmp'],
    ...view.links.flatMap(({ path, target }) => ['--symlink', target, path]),
    ...view.readable.flatMap((path) => ['--ro-bind', path, path]),
    ...view.hiddenFiles.flatMap((path) => ['--ro-bind', '/dev/null', path]),
    ...view.hiddenFolders.flatMap((path) => ['--tmpfs', path]),
    ...view.borrowed.flatMap((path) => ['--ro-bind', path, path]),
    ...[paths.work, paths.home, paths.tmp].flatMap((path) => ['--bind', path, path]),
    ...(inbox === null ? [] : ['--ro-bind', inbox, inbox]),
    ...(egress === null ? [] : egressArguments(egress)),
    // To the kernel, root in the sandbox is the owner of /proc/sys and may write what runs outside, capabilities or not.
    ...[...view.hiddenFolders, '/proc', '/'].flatMap((path) => ['--remount-ro', path]),
    ...['--chdir', cwd, '--', '/bin/sh', '-c'],
    ...(egress === null
      ? [START, 'sh', run.shellVariables]
      : [START_WITH_EGRESS, 'sh', run.shellVariables, egress.node, egress.forwarder.target]),
    ...run.argv,
  ];
}

function egressArguments({ socket, forwarder, reachesLoopback }: SandboxEgress): string[] {
  const proxy = `http://127.0.0.1:${EGRESS_PORT}`;
  const direct = reachesLoopback ? 'localhost' : 'localhost,127.0.0.1,::1';
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY', 'all_proxy'];
  return [
    ...['--ro-bind', socket, EGRESS_SOCKET, '--ro-bind', forwarder.source, forwarder.target],
    ...names.flatMap((name) => ['--setenv', name, proxy]),
    ...['NO_PROXY', 'no_proxy'].flatMap((name) => ['--setenv', name, direct]),
    // Node's own fetch heeds the others only then.
    ...['--setenv', 'NODE_USE_ENV_PROXY', '1'],
  ];
}
