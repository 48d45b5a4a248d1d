/**
 * What a worker asks of `program.ts` in a container of a pod, and how: one line of JSON on stdin, followed by as many
 * bytes as it says. The end of stdin means nothing: an older Kubernetes cannot tell it.
 */
import type { ExitStatus, SpoolOffset } from '../runtime.ts';

export interface InsideHeader {
  readonly operation: string;
  /** Of the data that follow, as `packData` gives them. */
  readonly bytes: number;
  /** On whose behalf; without it the call is anybody's. */
  readonly fence?: Fence;
}

/** An attempt of a build: once a later one has opened the workspace, calls of an earlier one are refused. */
export interface Fence {
  readonly buildId: string;
  readonly attemptNo: number;
}

/** The exit code of a call that was refused because of its fence: a later attempt has the workspace. */
export const SUPERSEDED_EXIT = 97;

/** A header and its data are at most as long. */
export const MAX_CALL_BYTES = 256 * 1024 ** 2;

export interface TailRequest {
  readonly buildId: string;
  readonly from: SpoolOffset;
  /** It ends by itself after this long, or this many bytes. */
  readonly maxMs: number;
  readonly maxBytes: number;
}

/** `tail` prints lines of JSON; after one with `stream` follow as many bytes of that stream. */
export type TailFrame =
  /** `size`: of all that the program has printed to it so far, read or not. */
  | { readonly stream: 'stdout' | 'stderr'; readonly bytes: number; readonly size: number }
  /** The program has ended and all of its output was given. */
  | { readonly ended: RunState }
  /** It goes on: ask again. */
  | { readonly paused: true };

export interface RunState {
  readonly hasRun: boolean;
  readonly exit: ExitStatus | null;
  readonly outputBytes: number;
  /** Processes that the kernel has killed in this container because its memory was used up. */
  readonly oomKills: number;
}
