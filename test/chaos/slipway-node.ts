/** A server or a worker as a process that somebody keeps running: it is started again whenever it is gone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { removeClockRemains } from './clock.ts';

const PROGRAM = join(import.meta.dirname, '../../bin/slipway.js');
/** After a start that failed, as when the database is away. */
const RESTART_PAUSE_MS = 500;
/** Longer than a drain may take. */
const TERM_LIMIT_MS = 60_000;

export interface NodeOptions {
  readonly name: string;
  readonly command: 'serve' | 'work';
  /** Of the command. */
  readonly args?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Its stderr, appended. */
  readonly log: string;
  /** Told of the URL of each server that came up. */
  readonly onUrl?: (url: URL) => void;
}

export class SlipwayNode implements AsyncDisposable {
  readonly name: string;
  readonly command: 'serve' | 'work';
  /** Ends that nobody asked for, of processes that had come up. */
  readonly crashes: string[] = [];
  /** The most memory that one of its processes had, in bytes. */
  maxRss = 0;
  readonly #options: NodeOptions;
  #child: ChildProcess | null = null;
  /** The last one that `kill` has ended, maybe in the middle of its drain. */
  #killed: ChildProcess | null = null;
  #ready = false;
  #closing = false;
  /** Somebody ended it on purpose; it comes back then, on the clock of `performance.now()`. */
  #backAt: number | null = null;
  readonly #running: Promise<void>;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.command = options.command;
    this.#running = this.#keepRunning();
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** It has come up, and is not known to be gone. */
  get ready(): boolean {
    return this.#ready;
  }

  /** kill -9; it comes back after `awayMs`. */
  kill(awayMs: number): void {
    this.#backAt = performance.now() + awayMs;
    this.#ready = false;
    this.#killed = this.#child;
    this.#child?.kill('SIGKILL');
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  /** SIGTERM, and the end of it; it comes back at once. Returns how long it took, in milliseconds. */
  async roll(): Promise<number> {
    const child = this.#child;
    const started = performance.now();
    if (!child || !this.#ready) return 0;
    this.#backAt = started;
    this.#ready = false;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const limit = new AbortController();
    const late = delay(TERM_LIMIT_MS, 'late' as const, { signal: limit.signal }).catch(() => null);
    if ((await Promise.race([ended, late])) === 'late') {
      this.crashes.push(`${this.name} did not end within ${TERM_LIMIT_MS / 1000} s after SIGTERM`);
      child.kill('SIGKILL');
    } else if (child.exitCode !== 0 && child !== this.#killed) {
      this.crashes.push(`${this.name} ended with ${child.exitCode ?? child.signalCode} after SIGTERM`);
    }
    limit.abort();
    return performance.now() - started;
  }

  /** Notes how much memory it has. */
  async measure(): Promise<void> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8').catch(() => '');
    const kilobytes = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    this.maxRss = Math.max(this.maxRss, kilobytes * 1024);
  }

  /** Ends it for good, without mercy. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    this.#child?.kill('SIGKILL');
    await this.#running;
  }

  async #keepRunning(): Promise<void> {
    while (!this.#closing) {
      await this.#runOnce();
      const pause = this.#backAt === null ? RESTART_PAUSE_MS : Math.max(0, this.#backAt - performance.now());
      if (!this.#closing) await delay(pause);
    }
  }

  async #runOnce(): Promise<void> {
    const { command, args = [], environment, log, name } = this.#options;
    this.#backAt = null;
    await using file = await open(log, 'a');
    const child = spawn(process.execPath, [PROGRAM, command, '--json', ...args], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', file.fd],
    });
    this.#child = child;
    if (child.stdout) createInterface(child.stdout).once('line', (line) => this.#cameUp(line));
    await once(child, 'close');
    const isWanted = this.#backAt !== null || this.#closing;
    if (this.#ready && !isWanted) this.crashes.push(`${name} ended with ${child.exitCode ?? child.signalCode}`);
    this.#ready = false;
    if (child.pid) await removeClockRemains(child.pid);
  }

  #cameUp(line: string): void {
    const { url } = JSON.parse(line) as { url?: string };
    if (url) this.#options.onUrl?.(new URL(url));
    this.#ready = true;
  }
}
