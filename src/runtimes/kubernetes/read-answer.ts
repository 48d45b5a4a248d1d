import type { Turns } from '../../std/turns.ts';
import type { ExecEnd, PodStream } from './pod-exec.ts';

/** Read without asking: most answers are a few hundred bytes. */
const SMALL_ANSWER_BYTES = 1024 ** 2;
const MAX_ANSWER_BYTES = 128 * 1024 ** 2;

/**
 * Resolves with what `take` makes of all that the command has printed. What comes of a large answer beyond its first MiB
 * stays in the network until its turn has come, which `take` still belongs to. Rejects as the stream does, and when there
 * is more than 128 MiB.
 */
export async function readAnswer<T>(
  stream: PodStream,
  { large, take }: { readonly large: Turns; readonly take: (end: ExecEnd, stdout: Buffer) => T },
): Promise<T> {
  const parts: Buffer[] = [];
  let bytes = 0;
  const rest = stream[Symbol.asyncIterator]();
  /** False when there may be more. */
  const read = async (enough: number): Promise<boolean> => {
    while (bytes <= enough) {
      const part = await rest.next();
      if (part.done) return true;
      parts.push(part.value);
      bytes += part.value.length;
    }
    return false;
  };
  const finish = async () => take(await stream.exit, Buffer.concat(parts, bytes));
  try {
    if (await read(SMALL_ANSWER_BYTES)) return await finish();
    // Its deadline ends the exec, and with it the waiting.
    const ended = new AbortController();
    stream.exit.catch((error: unknown) => ended.abort(error));
    return await large.take(async () => {
      if (await read(MAX_ANSWER_BYTES)) return finish();
      throw new Error(`The program in the pod answered more than ${MAX_ANSWER_BYTES / 1024 ** 2} MiB.`);
    }, ended.signal);
  } finally {
    await rest.return?.();
  }
}
