import type { FileHandle } from 'node:fs/promises';
import { createOutputLines, type OutputLines } from './output-lines.ts';
import type { Redact } from './redact.ts';
import { openForReading } from './run-files.ts';
import type { OutputLine } from './runtime.ts';

const CHUNK_BYTES = 64 * 1024;

/** One output file of a run, read from a byte offset on while it may still grow. */
export class SpoolFile implements AsyncDisposable {
  readonly #file: FileHandle | null;
  readonly #lines: OutputLines;
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #position: number;
  #limit = Number.POSITIVE_INFINITY;

  private constructor(file: FileHandle | null, lines: OutputLines, from: number) {
    this.#file = file;
    this.#lines = lines;
    this.#position = from;
  }

  /** A file that is missing (the run was lost before it began) is empty. */
  static async open(options: {
    path: string;
    stream: 'stdout' | 'stderr';
    from: number;
    redact: Redact;
  }): Promise<SpoolFile> {
    return new SpoolFile(await openForReading(options.path), createOutputLines(options), options.from);
  }

  /** The lines that the next chunk completes, possibly none; null when there is nothing more to read for now. */
  async next(): Promise<OutputLine[] | null> {
    const wanted = Math.min(CHUNK_BYTES, this.#limit - this.#position);
    if (this.#file === null || wanted <= 0) return null;
    const { bytesRead } = await this.#file.read(this.#chunk, 0, wanted, this.#position);
    if (bytesRead === 0) return null;
    this.#position += bytesRead;
    return this.#lines.push(this.#chunk.subarray(0, bytesRead));
  }

  /** From now on the file ends where it ends now, even if somebody goes on writing to it. */
  async seal(): Promise<void> {
    this.#limit = this.#file === null ? 0 : (await this.#file.stat()).size;
  }

  /** The last line, if it has no line end; to be asked once, at the very end. */
  last(): OutputLine | null {
    return this.#lines.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
  }
}
