/** TAP 13 and 14 as prove, node --test, tap, ava, bats and others print it. */
import type { Outcome } from './test-report.ts';
import { ReportCount, ReportError, type TestFailure, type TestReport } from './test-report.ts';

const MAX_DEPTH = 20;
const MAX_DETAILS = 4 * 1024;
const INDENT = 4;
const POINT = /^(not )?ok\b(?:[ \t]+(\d{1,10})\b)?(.*)$/;
const PLAN = /^1\.\.(\d{1,9})\s*(#.*)?$/;
const DIRECTIVE = /(?<!\\)#\s*(skip|todo)\S*(?:\s+(.*))?$/i;

/** The tests at one depth: those of the document, or of a subtest. */
interface Level {
  readonly count: ReportCount;
  /** Of the subtest, as its comment says; may be empty. */
  name: string;
  plan: number | null;
  points: number;
}

/** Takes the lines of a document one after the other. Throws ReportError for what is no TAP. */
export class TapParser {
  readonly #levels: Level[] = [newLevel('')];
  /** A subtest that has ended: the next point of the level above speaks of it. */
  #ended: Level | null = null;
  /** The name that the next subtest has. */
  #named = '';
  /** The failure whose YAML may follow, with the indent of its point. */
  #failure: { -readonly [K in keyof TestFailure]: TestFailure[K] } | null = null;
  #pointIndent = 0;
  #hasPoint = false;
  #yaml = false;
  /** The message is a block, whose first line says the most. */
  #messageNext = false;
  #bailedOut = false;

  line(text: string): void {
    if (this.#bailedOut) return;
    const indent = text.search(/\S/);
    if (indent === -1 || (this.#hasPoint && this.#inYaml(text, indent))) return;
    if (/^bail out!/i.test(text.trimStart())) {
      this.#bailOut(text.trimStart().slice('bail out!'.length));
      return;
    }
    const depth = Math.floor(indent / INDENT);
    const said = text.slice(indent);
    const subtest = /^# Subtest(?::\s*(.*))?$/.exec(said);
    if (subtest) this.#nameSubtest(depth, subtest[1] ?? '');
    if (subtest || indent % INDENT !== 0) return;
    const plan = PLAN.exec(said);
    const point = plan ? null : POINT.exec(said);
    if (!plan && !point) return;
    this.#moveTo(depth);
    const level = this.#levels.at(-1) as Level;
    if (plan) level.plan ??= Number(plan[1]);
    else if (point) this.#point(level, { isOk: point[1] === undefined, said: point[3] ?? '', indent });
  }

  end(): TestReport {
    if (!this.#bailedOut) {
      this.#moveTo(0);
      this.#settleFailure();
      this.#mergeEnded();
    }
    const top = this.#levels[0] as Level;
    if (!this.#bailedOut) checkPlan(top);
    if (top.points === 0 && top.plan === null && !this.#bailedOut) {
      throw new ReportError('The report is not TAP: it has neither a plan nor a test.');
    }
    return top.count.report;
  }

  /** The suites that are open, from the outside on. */
  get #suite(): string {
    return this.#levels
      .map(({ name }) => name)
      .filter((name) => name !== '')
      .join(' > ');
  }

  #nameSubtest(depth: number, name: string): void {
    // Written at the depth of the subtest or at that of its parent.
    if (depth < this.#levels.length - 1) this.#moveTo(depth);
    else if (this.#named !== '' && depth >= this.#levels.length) this.#moveTo(this.#levels.length);
    this.#named = unescaped(name);
  }

  /** Ends subtests that are deeper, and begins those that are not open yet. */
  #moveTo(depth: number): void {
    if (depth > MAX_DEPTH) throw new ReportError(`The report is nested more than ${MAX_DEPTH} deep.`);
    if (depth + 1 !== this.#levels.length) this.#settleFailure();
    while (this.#levels.length > depth + 1) {
      this.#mergeEnded();
      this.#ended = this.#levels.pop() as Level;
      checkPlan(this.#ended);
    }
    while (this.#levels.length < depth + 1) {
      this.#mergeEnded();
      this.#levels.push(newLevel(this.#named));
      this.#named = '';
    }
  }

  /** A subtest without a point of its own: its tests count all the same. */
  #mergeEnded(): void {
    if (this.#ended) (this.#levels.at(-1) as Level).count.merge(this.#ended.count.report);
    this.#ended = null;
  }

  #point(level: Level, { isOk, said, indent }: { isOk: boolean; said: string; indent: number }): void {
    this.#settleFailure();
    this.#named = '';
    level.points += 1;
    this.#hasPoint = true;
    this.#pointIndent = indent;
    const directive = DIRECTIVE.exec(said);
    const name = unescaped((directive ? said.slice(0, directive.index) : said).trim().replace(/^-\s*/, ''));
    const forgiven = directive !== null;
    const inner = this.#ended;
    this.#ended = null;
    if (!inner) {
      const outcome: Outcome = forgiven ? 'skipped' : isOk ? 'passed' : 'failed';
      if (outcome === 'failed') this.#failure = { suite: this.#suite, name, message: '', details: '' };
      else level.count.add(outcome);
      return;
    }
    if (forgiven) inner.count.forgive();
    const blamed = inner.count.failed > 0;
    level.count.merge(inner.count.report);
    // A subtest that fails although all of its tests pass, as when its clean-up fails.
    if (!isOk && !forgiven && !blamed) this.#failure = { suite: this.#suite, name, message: '', details: '' };
  }

  /** True when the line belongs to the YAML below a point. */
  #inYaml(text: string, indent: number): boolean {
    if (!this.#yaml) {
      if (text.trim() !== '---' || indent <= this.#pointIndent) {
        this.#hasPoint = false;
        return false;
      }
      this.#yaml = true;
      return true;
    }
    if (text.trim() === '...' || indent <= this.#pointIndent) {
      this.#yaml = false;
      this.#hasPoint = false;
      return text.trim() === '...';
    }
    const line = text.slice(Math.min(indent, this.#pointIndent + 2));
    const took = /^duration_ms:\s*'?([\d.]+)'?\s*$/.exec(line);
    // What is of a subtest as a whole is in the sum already, as far as its tests say how long they took.
    if (took && this.#levels.length === 1) (this.#levels[0] as Level).count.took(Number(took[1]));
    if (this.#failure) this.#describe(this.#failure, line);
    return true;
  }

  #describe(failure: { message: string; details: string }, line: string): void {
    const message = /^(?:message|error):\s*(.*)$/.exec(line);
    if (this.#messageNext) failure.message = line.trim();
    this.#messageNext = message !== null && /^[|>][-+]?$/.test(message[1] ?? '');
    if (message && !this.#messageNext && failure.message === '') failure.message = unquote(message[1] ?? '');
    const room = MAX_DETAILS - failure.details.length;
    failure.details += `${line}\n`.slice(0, Math.max(0, room));
  }

  #settleFailure(): void {
    if (this.#failure) (this.#levels.at(-1) as Level).count.fail(this.#failure);
    this.#failure = null;
    this.#yaml = false;
    this.#messageNext = false;
    this.#hasPoint = false;
  }

  #bailOut(reason: string): void {
    this.#settleFailure();
    this.#moveTo(0);
    this.#mergeEnded();
    (this.#levels[0] as Level).count.fail({
      ...{ suite: '', name: 'Bail out!' },
      message: reason.trim() || 'The tests were given up.',
      details: '',
    });
    this.#bailedOut = true;
  }
}

function newLevel(name: string): Level {
  return { count: new ReportCount(), name, plan: null, points: 0 };
}

/** Tests that were not run have not passed. */
function checkPlan(level: Level): void {
  const { plan, points, name } = level;
  if (plan === points || (plan === null && points === 0)) return;
  const ran = `${points} ${points === 1 ? 'test' : 'tests'} ran`;
  const message =
    plan === null ? `There is no plan, so the end may be missing; ${ran}.` : `The plan was 1..${plan}; ${ran}.`;
  level.count.fail({ suite: name, name: 'plan', message, details: '' });
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([\\#])/g, '$1');
}

function unquote(text: string): string {
  const quoted = /^(["'])(.*)\1$/.exec(text.trim());
  return quoted ? (quoted[2] ?? '') : text.trim();
}
