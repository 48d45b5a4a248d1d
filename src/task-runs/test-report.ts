/** The noun: what a test command has reported, in bounds that hold for every report. */

export interface TestFailure {
  /** The suite that it belongs to, the outer ones before it; empty when it belongs to none. */
  readonly suite: string;
  readonly name: string;
  /** One sentence or line, as the report gives it; may be empty. */
  readonly message: string;
  /** A stack trace or a diff. */
  readonly details: string;
}

export interface TestReport {
  /** Tests that ran or were skipped. */
  readonly total: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Null when the report says nothing of it. */
  readonly durationMs: number | null;
  /** The first ones, at most `MAX_FAILURES`. */
  readonly failures: readonly TestFailure[];
  /** There are more failures, or longer texts, than are kept here. */
  readonly truncated: boolean;
}

/** `reason` is a sentence for a person. */
export type ParsedReport =
  | { readonly ok: true; readonly report: TestReport }
  | { readonly ok: false; readonly reason: string };

/** Thrown within a parser, which tells of it as `ParsedReport`. */
export class ReportError extends Error {
  override readonly name = 'ReportError';
}

export const MAX_FAILURES = 200;
const MAX_NAME = 300;
const MAX_MESSAGE = 1_000;
const MAX_DETAILS = 4_000;
/** Of all texts of a report together: it becomes a part of a task's result, whose bound is 64 KiB. */
const MAX_TEXT = 32_000;
/** What no test suite takes; what claims more counts as nothing. */
const MAX_DURATION_MS = 366 * 86_400_000;
const MAX_COUNT = 1_000_000_000;

export type Outcome = 'passed' | 'failed' | 'skipped';

/** Counts what a parser finds and keeps of it what the bounds allow. */
export class ReportCount {
  readonly #counts = { passed: 0, failed: 0, skipped: 0 };
  #failures: TestFailure[] = [];
  #textLeft = MAX_TEXT;
  #truncated = false;
  #durationMs: number | null = null;

  add(outcome: Outcome, times = 1): void {
    this.#counts[outcome] = Math.min(MAX_COUNT, this.#counts[outcome] + Math.max(0, times));
  }

  fail(failure: TestFailure): void {
    this.add('failed');
    this.keep(failure);
  }

  /** Of a failure that is counted already. */
  keep(failure: TestFailure): void {
    if (this.#failures.length === MAX_FAILURES) {
      this.#truncated = true;
      return;
    }
    this.#failures.push({
      suite: this.#cut(failure.suite, MAX_NAME),
      name: this.#cut(failure.name, MAX_NAME),
      message: this.#cut(failure.message, MAX_MESSAGE),
      details: this.#cut(failure.details, MAX_DETAILS),
    });
  }

  /** Some of what there was to say could not be kept. */
  cut(): void {
    this.#truncated = true;
  }

  took(milliseconds: number): void {
    if (!Number.isFinite(milliseconds) || milliseconds < 0) return;
    this.#durationMs = Math.min(MAX_DURATION_MS, (this.#durationMs ?? 0) + milliseconds);
  }

  /** Adds another report's counts, as of another file. */
  merge(report: TestReport): void {
    for (const outcome of ['passed', 'failed', 'skipped'] as const) this.add(outcome, report[outcome]);
    for (const failure of report.failures) this.keep(failure);
    if (report.durationMs !== null) this.took(report.durationMs);
    this.#truncated ||= report.truncated;
  }

  /** What has failed so far is forgiven: it counts as skipped. */
  forgive(): void {
    this.add('skipped', this.#counts.failed);
    this.#counts.failed = 0;
    this.#failures = [];
  }

  get failed(): number {
    return this.#counts.failed;
  }

  get report(): TestReport {
    const { passed, failed, skipped } = this.#counts;
    return {
      total: passed + failed + skipped,
      ...{ passed, failed, skipped },
      durationMs: this.#durationMs === null ? null : Math.round(this.#durationMs),
      failures: this.#failures,
      truncated: this.#truncated,
    };
  }

  #cut(text: string, most: number): string {
    const kept = cutText(text.trim(), Math.min(most, this.#textLeft));
    if (kept.length < text.trim().length) this.#truncated = true;
    this.#textLeft -= kept.length;
    return kept;
  }
}

/** Well-formed text of its own: a slice would hold the whole chunk that it was read in. Without NUL, which no database takes. */
function cutText(text: string, most: number): string {
  return Buffer.from(text.slice(0, Math.max(0, most)).toWellFormed().replaceAll('\0', '')).toString();
}
