/** A thread that searches files for secrets: a file that is made to be slow costs time and not the event loop. */
import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { SearchedFile, SecretFinding } from './secret-thread.ts';

/** Of one file. A file of the largest size that is searched takes a tenth of a second. */
const FILE_TIMEOUT_MS = 10_000;
const START_TIMEOUT_MS = 60_000;
const MAX_HEAP_MIB = 512;
/** Published, the sources are JavaScript. */
const THREAD = new URL(`./secret-thread${extname(import.meta.url)}`, import.meta.url);

export class SecretSearch implements AsyncDisposable {
  readonly #registered: readonly string[];
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  #thread: Worker | null = null;

  /** `signal` ends a search with its reason. */
  constructor(options: { registered: readonly string[]; signal: AbortSignal; fileTimeoutMs?: number | undefined }) {
    this.#registered = options.registered;
    this.#signal = options.signal;
    this.#timeoutMs = options.fileTimeoutMs ?? FILE_TIMEOUT_MS;
  }

  /**
   * One file at a time. Null when it could not be searched: it took longer than 10 s or more than 512 MiB. Throws when it
   * is aborted, or the thread does not start.
   */
  async search(file: SearchedFile): Promise<readonly SecretFinding[] | null> {
    const thread = this.#thread ?? (await this.#start());
    try {
      // A copy of its own: the whole buffer that a view is a part of would be sent.
      const bytes = new Uint8Array(file.bytes);
      const answered = this.#answer(thread, this.#timeoutMs);
      thread.postMessage({ ...file, bytes }, [bytes.buffer]);
      return (await answered) as readonly SecretFinding[];
    } catch {
      this.#signal.throwIfAborted();
      await this[Symbol.asyncDispose]();
      return null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const thread = this.#thread;
    this.#thread = null;
    await thread?.terminate();
  }

  async #start(): Promise<Worker> {
    const thread = new Worker(THREAD, {
      workerData: { registered: this.#registered },
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    // Between two files nobody waits for it; the next search then runs into its time limit.
    thread.on('error', () => {});
    this.#thread = thread;
    await this.#answer(thread, START_TIMEOUT_MS);
    return thread;
  }

  async #answer(thread: Worker, timeoutMs: number): Promise<unknown> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(timeoutMs)]);
    const [message] = await once(thread, 'message', { signal });
    return message;
  }
}
