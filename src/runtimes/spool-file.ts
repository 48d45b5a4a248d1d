import type { FileHandle } from 'node:fs/promises';
import { createLineSplitter, type LineSplitter, type SplitLine } from '../std/line-splitter.ts';
import type { Redact } from './redact.ts';
import { openForReading } from './run-files.ts';
import { MAX_LINE_BYTES, type OutputLine } from './runtime.ts';

const CHUNK_BYTES = 64 * 1024;
/** Left off the end of a cut line, as a secret that the cut went through is not recognised. Longer than any secret. */
const CUT_MARGIN = 64 * 1024;

/** One output file of a run, read from a byte offset on while it may still grow. */
export class SpoolFile implements AsyncDisposable {
  readonly stream: 'stdout' | 'stderr';
  readonly #file: FileHandle | null;
  readonly #redact: Redact;
  readonly #from: number;
  readonly #splitter: LineSplitter = createLineSplitter(MAX_LINE_BYTES);
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  #position: number;
  #limit = Number.POSITIVE_INFINITY;

  private constructor(file: FileHandle | null, options: { stream: 'stdout' | 'stderr'; from: number; redact: Redact }) {
    this.#file = file;
    this.stream = options.stream;
    this.#redact = options.redact;
    this.#from = options.from;
    this.#position = options.from;
  }

  /** A file that is missing (the run was lost before it began) is empty. */
  static async open(options: {
    path: string;
    stream: 'stdout' | 'stderr';
    from: number;
    redact: Redact;
  }): Promise<SpoolFile> {
    return new SpoolFile(await openForReading(options.path), options);
  }

  /** The lines that the next chunk completes, possibly none; null when there is nothing more to read for now. */
  async next(): Promise<OutputLine[] | null> {
    const wanted = Math.min(CHUNK_BYTES, this.#limit - this.#position);
    if (this.#file === null || wanted <= 0) return null;
    const { bytesRead } = await this.#file.read(this.#chunk, 0, wanted, this.#position);
    if (bytesRead === 0) return null;
    this.#position += bytesRead;
    return this.#splitter.push(this.#chunk.subarray(0, bytesRead)).map((line) => this.#toOutputLine(line));
  }

  /** From now on the file ends where it ends now, even if somebody goes on writing to it. */
  async seal(): Promise<void> {
    this.#limit = this.#file === null ? 0 : (await this.#file.stat()).size;
  }

  /** The last line, if it has no line end; to be asked once, at the very end. */
  last(): OutputLine | null {
    const line = this.#splitter.end();
    return line === null ? null : this.#toOutputLine(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
  }

  #toOutputLine({ text, truncated, end }: SplitLine): OutputLine {
    const redacted = this.#redact(text);
    const shown = truncated ? redacted.slice(0, -CUT_MARGIN).toWellFormed() : redacted;
    return { stream: this.stream, text: shown, truncated, end: this.#from + end };
  }
}
