/**
 * Where commands run. The builds folder talks to a runtime in this order, for one build at a time:
 *
 *   open(buildId) -> exec(…)* -> start(…) or attach(…) -> read(…) until the end -> [stop()] -> sweep -> close
 *
 * Calls for different builds may overlap. `open`, `stop`, `sweep` and `close` must be safe to repeat, also by a
 * process that never saw the build before: the process that made the workspace may be dead.
 *
 * Where a workspace can be lost with its machine, whatever is asked of it then rejects with WorkspaceLostError; where workers
 * share it, with SupersededError once a later attempt has opened it.
 */
import type { NetworkAccess } from '../std/network-access.ts';
import type { Redact } from './redact.ts';

export interface Runtime {
  readonly name: string;
  /** What keeps runs from the rest of the machine and its network, such as `bubblewrap 0.8.0`; null: nothing. */
  readonly sandbox: string | null;
  /** Workers whose runtimes have the same place find each other's workspaces. */
  readonly place: string;
  /** What `close` takes away cannot go on running: nobody has to sweep before. */
  readonly closeEnds: boolean;
  /** Git reaches repositories by paths of this machine. */
  readonly reachesLocalPaths: boolean;
  /** Why nothing can be run at the moment; null when nothing is known against it. Builds stay in the queue meanwhile. */
  problem(): string | null;
  /** Why it cannot keep a build to this network, as a sentence; null when it can. */
  networkProblem(network: NetworkAccess): string | null;
  /** Creates the workspace, or opens the one that an earlier attempt left in this place. */
  open(buildId: string, needs?: WorkspaceNeeds): Promise<Workspace>;
  /**
   * Kills every process of this build that was started in its workspace here (they carry its mark in their
   * environment), setsid children included, and resolves with how many it killed once none is alive. What another
   * worker runs of the same build in a folder of its own is left alone: it may be the owner by now. With `attemptNo` it is
   * done for that attempt: rejects with a SupersededError, or does nothing, where a later one has opened the workspace, if
   * workers share it.
   */
  sweep(buildId: string, attemptNo?: number): Promise<number>;
  /**
   * Tells the run of this build, if there is one, that a worker looks after it. A run that is not told for half a minute
   * is nobody's, and ends.
   */
  renew(buildId: string): Promise<void>;
  /** Builds that have left something here; `closed` when that is no more than the home. For the janitor. */
  list(): Promise<{ readonly buildId: string; readonly closed: boolean }[]>;
  /** Called every `tendEveryMs`, also without builds: keeps ready what builds will need, and removes what is nobody's. */
  tend(): Promise<void>;
  /** Also how often what `list` gives is to be compared with the builds that there are. */
  readonly tendEveryMs: number;
  /** Puts a copy of one build's home in place of another's; false when there is none here. */
  copyHome(from: string, to: string): Promise<boolean>;
  /**
   * Deletes the checkout, the git folder and the spool. `home` stays if asked for and if it can, so that its session can
   * be resumed; `forget` names files in it that go all the same. Resolves when the place is free for another build.
   * `attemptNo` as of `sweep`.
   */
  close(buildId: string, options: CloseOptions): Promise<void>;
}

export interface CloseOptions {
  readonly keepHome: boolean;
  readonly forget?: readonly string[];
  readonly attemptNo?: number;
}

/** What a workspace is made for and of; without them it is made as the runtime makes it by default. */
export interface WorkspaceNeeds {
  readonly projectId?: string;
  readonly attemptNo?: number;
  readonly network?: NetworkAccess;
  /** The longest that the build may take. */
  readonly maxSeconds?: number;
  /** Of the agent's container; see `workspaceNeeds` in src/projects. */
  readonly image?: string | null;
  readonly cpu?: string | null;
  readonly memory?: string | null;
  readonly storage?: string | null;
  readonly signal?: AbortSignal;
  /** Called with what it waits for, each time that changes. */
  readonly onWait?: (message: string) => void;
}

/** Absolute paths, as the commands in the workspace see them. */
export interface WorkspacePaths {
  /** The build's own folder. */
  readonly root: string;
  /** The checkout that the agent changes. Hostile after the agent has run. */
  readonly work: string;
  /** The trusted git folder, outside the checkout. */
  readonly git: string;
  /** HOME of the agent; its sessions live here, so it outlives the checkout. */
  readonly home: string;
  /** TMPDIR of the agent. */
  readonly tmp: string;
  /** Fetched objects that builds of a project share. */
  readonly cache: string;
}

/** Slipway's own programs. */
export interface OwnPrograms {
  /** Node. */
  readonly node: string;
  /** Of `exec`: variables with which Node starts sooner. They are for no program that these start. */
  readonly environment: Readonly<Record<string, string>>;
  /** `path` is that of a file of this package, in this process. */
  find(path: string): string;
}

export interface Workspace {
  readonly buildId: string;
  readonly paths: WorkspacePaths;
  /** Runs are kept from the rest of the machine: a program that brings a sandbox of its own need not use it. */
  readonly sandboxed: boolean;
  /** As `start` and as `exec` find them: these need not be in the same place. */
  readonly programs: { readonly start: OwnPrograms; readonly exec: OwnPrograms };
  /** Commands of `exec` run on this machine, and its files are this machine's. */
  readonly isLocal: boolean;
  /** Runs a short trusted command (git) to its end. Throws only when the command cannot be started. */
  exec(command: Command): Promise<CommandResult>;
  /** Writes files into a checkout that no agent has touched yet. */
  write(files: readonly WorkspaceFile[]): Promise<void>;
  /**
   * The content of a regular file below `root`, by its absolute path. Rejects for anything else, also where a link has taken the
   * place of the file, or that of a folder and leads out of `root`.
   */
  read(path: string): AsyncIterable<Uint8Array>;
  /**
   * Starts the program detached: it outlives this process. stdout and stderr go to spool files, its exit status to
   * an exit file. At most one run per workspace at a time. In a sandbox it sees the workspace without `git`, to write
   * `work`, `home` and `tmp`, and of the machine what programs need. Throws without one when `network` is limited.
   */
  start(command: DetachedCommand): Promise<Run>;
  /** The run that an earlier process started here, alive or ended; null when there is none. */
  attach(redact: Redact): Promise<Run | null>;
  /** Deletes what is left of a run that has ended, so that another one can be started on the same checkout. */
  forgetRun(): Promise<void>;
}

export interface WorkspaceFile {
  /** Relative to `paths.work`, with `/`, never outside of it. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly executable: boolean;
}

export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** The complete environment: nothing is inherited. The runtime adds the build's mark. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  readonly timeoutMs: number;
  /** Output beyond this many bytes ends the command with `truncated`. Default 64 MiB. */
  readonly maxOutputBytes?: number;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  /** The last 64 KiB, as text. */
  readonly stderr: string;
  readonly timedOut: boolean;
  readonly aborted: boolean;
  readonly truncated: boolean;
}

export interface DetachedCommand {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** The complete environment; the runtime adds the build's mark. */
  readonly env: Readonly<Record<string, string>>;
  /** Given as a file and then closed: never argv, never an open pipe. */
  readonly stdin: string;
  readonly redact: Redact;
  /** The runtime itself ends it after this long, whether or not a worker lives. */
  readonly maxSeconds?: number;
  /** How long it lives without being told that a worker looks after it; see `Runtime.renew`. */
  readonly quietSeconds?: number;
  readonly network: NetworkAccess;
  /** Hosts with their ports that it reaches whatever `network` says: patterns as in there. */
  readonly reaches?: readonly string[];
  /** Absolute paths of what the program reads besides its own file and what is in PATH. */
  readonly files?: readonly string[];
  /** Other programs that it starts, as `argv` names its own: absolute paths, or names in PATH. */
  readonly programs?: readonly string[];
  /** The program is given the path of a file in SLIPWAY_INBOX, which grows by what `Run.send` is given. */
  readonly inbox?: boolean;
}

/** Bytes consumed of each spool file; the place where a successor goes on reading. */
export interface SpoolOffset {
  readonly stdout: number;
  readonly stderr: number;
}

export interface OutputLine {
  readonly stream: 'stdout' | 'stderr';
  /** Valid UTF-8, redacted, without NUL and line end. */
  readonly text: string;
  /** The line was longer than `MAX_LINE_BYTES`; `text` is its beginning. */
  readonly truncated: boolean;
  /** Bytes of the stream's spool file up to and including this line's end. */
  readonly end: number;
}

export interface OutputBatch {
  readonly lines: readonly OutputLine[];
  /** Where to go on reading after this batch. */
  readonly offset: SpoolOffset;
}

/** How the program ended. `lost`: it is gone and left no exit status (its group was killed, or the machine restarted). */
export type ExitStatus =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signalled'; readonly signal: string }
  | { readonly kind: 'lost' };

export interface Run {
  /**
   * The output from `from` on, in batches as it grows; ends once the program has ended and everything it wrote was
   * given. Nothing is buffered for a slow reader: the spool is the buffer. Ends early when `signal` aborts.
   */
  read(from: SpoolOffset, signal: AbortSignal): AsyncIterable<OutputBatch>;
  /** Bytes that it has printed so far, read or not. */
  outputBytes(): Promise<number>;
  /** What the runtime has to say of the run so far, such as connections that it refused: at most 51 sentences. */
  notices(): Promise<readonly string[]>;
  /** Null while the program runs. */
  exitStatus(): Promise<ExitStatus | null>;
  /**
   * Appends a line to the inbox of the program, which may only read it; nothing where it has none. A line can be cut
   * when this process dies, and is then a line of its own: the reader ignores what it does not understand.
   */
  send(line: string): Promise<void>;
  /** SIGTERM to the group, `graceMs` later SIGKILL, then the sweep; resolves when no marked process is alive. */
  stop(options: { graceMs: number }): Promise<void>;
}

/** A longer line is cut, the rest of it skipped. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;
