import type { RunState, TailFrame } from '../inside/call.ts';
import type { ExitStatus } from '../runtime.ts';

/** As printed, with bytes of it; `isLast`: nothing more is here yet. */
export type ReadFrame =
  | { readonly stream: 'stdout' | 'stderr'; readonly data: Buffer; readonly isLast: boolean; readonly size: number }
  | Exclude<TailFrame, { stream: string }>;

/** A line that says what follows. */
const MAX_HEADER_BYTES = 4 * 1024;
/** One frame brings at most as much. */
const MAX_FRAME_BYTES = 1024 ** 2;
const NOTHING = Buffer.alloc(0);

/**
 * Gives what is in frames as it comes, without a copy: a frame may come in several parts. `hasMore`: whether another chunk is
 * here already. Throws when what comes is not what `tail` prints: an agent can write to the stdout of its neighbours.
 */
export async function* readFrames(
  chunks: AsyncIterable<Buffer>,
  hasMore: () => boolean = () => false,
): AsyncGenerator<ReadFrame> {
  let header = NOTHING;
  let open: { readonly stream: 'stdout' | 'stderr'; readonly size: number; left: number } | null = null;
  for await (const chunk of chunks) {
    for (let rest = chunk; rest.length > 0; ) {
      if (open === null) {
        const end = rest.indexOf('\n');
        header = Buffer.concat([header, end === -1 ? rest : rest.subarray(0, end)]);
        if (header.length > MAX_HEADER_BYTES) throw new Error('The pod sends what is no frame.');
        if (end === -1) break;
        rest = rest.subarray(end + 1);
        const frame = frameOf(JSON.parse(header.toString('utf8')));
        header = NOTHING;
        if ('stream' in frame) open = { stream: frame.stream, size: frame.size, left: frame.bytes };
        else yield frame;
      } else {
        const data = rest.subarray(0, open.left);
        rest = rest.subarray(data.length);
        open.left -= data.length;
        yield { stream: open.stream, data, isLast: rest.length === 0 && !hasMore(), size: open.size };
      }
      if (open?.left === 0) open = null;
    }
  }
}

function frameOf(value: unknown): TailFrame {
  const { stream, bytes, size = 0, ended, paused } = fields(value);
  if (paused === true) return { paused };
  if (ended !== undefined) return { ended: readState(ended) };
  if ((stream !== 'stdout' && stream !== 'stderr') || !isCount(bytes) || !isCount(size))
    throw new Error('The pod sends what is no frame.');
  if (bytes > MAX_FRAME_BYTES) throw new Error('The pod sends a frame that is too large.');
  return { stream, bytes, size };
}

/** Throws when the answer of the pod is none. */
export function readState(value: unknown): RunState {
  const { hasRun, exit, outputBytes, oomKills } = fields(value);
  if (typeof hasRun !== 'boolean' || !isCount(outputBytes) || !isCount(oomKills)) {
    throw new Error('The pod does not say how its run is.');
  }
  return { hasRun, exit: exit === null ? null : readExit(exit), outputBytes, oomKills };
}

function readExit(value: unknown): ExitStatus {
  const { kind, code, signal } = fields(value);
  if (kind === 'lost') return { kind };
  if (kind === 'exited' && isCount(code)) return { kind, code };
  if (kind === 'signalled' && typeof signal === 'string') return { kind, signal };
  throw new Error('The pod does not say how its run has ended.');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
