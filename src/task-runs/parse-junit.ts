/** JUnit XML as Ant, Surefire, Gradle, pytest, gtest, Jest, PHPUnit and others write it. */
import { SaxesParser } from 'saxes';
import { XmlCutter } from './cut-xml.ts';
import { ReportCount, ReportError, type TestReport } from './test-report.ts';

const MAX_DEPTH = 64;
/** Of the texts of one failure that are held while it is read. */
const MAX_HELD = 8 * 1024;

interface OpenSuite {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

interface OpenCase {
  readonly name: string;
  readonly suite: string;
  skipped: boolean;
  fault: { message: string; details: string } | null;
}

/** Takes a document piece by piece. Throws ReportError for what is no JUnit report. */
export class JunitParser {
  readonly #count = new ReportCount();
  readonly #cutter = new XmlCutter();
  readonly #xml = new SaxesParser();
  /** Names of the open elements, from the root on. */
  readonly #path: string[] = [];
  readonly #suites: OpenSuite[] = [];
  #case: OpenCase | null = null;
  /** The failure whose text is being read. */
  #fault: { message: string; details: string } | null = null;
  #cases = 0;
  /** Of the cases, and as the outermost suites say: theirs goes first. */
  readonly #took = { cases: 0, casesKnown: false, suites: 0, suitesKnown: false };
  readonly #declared: OpenSuite[] = [];

  constructor() {
    this.#xml.on('opentag', ({ name, attributes }) =>
      this.#open(localName(name), attributes as Record<string, string>),
    );
    this.#xml.on('closetag', () => this.#close());
    this.#xml.on('text', (text) => this.#text(text));
    this.#xml.on('cdata', (text) => this.#text(text));
  }

  push(piece: string): void {
    this.#write(() => this.#xml.write(this.#cutter.push(piece)));
  }

  end(): TestReport {
    this.#write(() => {
      this.#cutter.end();
      this.#xml.close();
    });
    if (this.#cases === 0) for (const { attributes } of this.#declared) this.#countDeclared(attributes);
    if (this.#took.suitesKnown) this.#count.took(this.#took.suites);
    else if (this.#took.casesKnown) this.#count.took(this.#took.cases);
    return this.#count.report;
  }

  #write(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (error instanceof ReportError) throw error;
      throw new ReportError(`The report is not well-formed XML: ${error instanceof Error ? error.message : error}`);
    }
  }

  #open(name: string, attributes: Record<string, string>): void {
    const parent = this.#path.at(-1);
    if (parent === undefined && name !== 'testsuites' && name !== 'testsuite') {
      throw new ReportError(`The report is not a JUnit report: its root is <${name.slice(0, 100)}>.`);
    }
    if (this.#path.length === MAX_DEPTH) throw new ReportError(`The report is nested more than ${MAX_DEPTH} deep.`);
    this.#path.push(name);
    const isSuite = name === 'testsuites' || name === 'testsuite';
    if (isSuite && (parent === undefined || parent === 'testsuites')) this.#declareTime(attributes);
    if (isSuite) this.#suites.push({ name: attributes.name ?? '', attributes });
    else if (name === 'testcase') this.#openCase(attributes);
    else if (parent === 'testcase' || parent === 'testsuite') this.#openVerdict(name, attributes);
  }

  /** The root's own time, or else the sum of what is right below it. */
  #declareTime(attributes: Record<string, string>): void {
    const time = readSeconds(attributes.time);
    if (time === null || (this.#path.length > 1 && this.#suites[0]?.attributes.time !== undefined)) return;
    this.#took.suites += time;
    this.#took.suitesKnown = true;
  }

  #openCase(attributes: Record<string, string>): void {
    this.#cases += 1;
    const time = readSeconds(attributes.time ?? attributes.duration);
    if (time !== null) {
      this.#took.cases += time;
      this.#took.casesKnown = true;
    }
    const state = [attributes.status, attributes.result].map((text) => text?.toLowerCase());
    this.#case = {
      name: attributes.name ?? '',
      suite: this.#suiteName(attributes.classname ?? attributes.class ?? null),
      skipped: state.some((text) => text === 'notrun' || text === 'skipped' || text === 'disabled'),
      fault: null,
    };
  }

  #openVerdict(name: string, attributes: Record<string, string>): void {
    if (name === 'skipped' && this.#case) this.#case.skipped = true;
    if (name !== 'failure' && name !== 'error') return;
    const fault = { message: attributes.message ?? attributes.type ?? '', details: '' };
    this.#fault = fault;
    if (this.#case) this.#case.fault ??= fault;
  }

  #text(text: string): void {
    const name = this.#path.at(-1);
    if (!this.#fault || (name !== 'failure' && name !== 'error')) return;
    this.#fault.details += text.slice(0, MAX_HELD - this.#fault.details.length);
  }

  #close(): void {
    const name = this.#path.pop();
    const parent = this.#path.at(-1);
    if (name === 'testsuite' || name === 'testsuites') this.#closeSuite(parent);
    else if (name === 'testcase') this.#closeCase();
    else if ((name === 'failure' || name === 'error') && this.#fault) {
      // What went wrong beside the tests, as when a file could not be loaded.
      if (!this.#case) this.#count.fail({ suite: this.#suiteName(null), name: '', ...firstLine(this.#fault) });
      if (!this.#case) this.#cases += 1;
      this.#fault = null;
    }
  }

  #closeSuite(parent: string | undefined): void {
    const suite = this.#suites.pop();
    const isRoot = parent === undefined;
    if (suite && this.#cases === 0 && (parent === 'testsuites' || (isRoot && this.#declared.length === 0))) {
      // Held only until the first case: there are as many as there are suites without one.
      if (this.#declared.length < 1_000) this.#declared.push(suite);
      else this.#count.cut();
    }
  }

  #closeCase(): void {
    const test = this.#case;
    this.#case = null;
    if (!test) return;
    if (test.fault) this.#count.fail({ suite: test.suite, name: test.name, ...firstLine(test.fault) });
    else this.#count.add(test.skipped ? 'skipped' : 'passed');
  }

  /** Of a report that has only the numbers. */
  #countDeclared(attributes: Readonly<Record<string, string>>): void {
    const failed = readCount(attributes.failures) + readCount(attributes.errors);
    const skipped = readCount(attributes.skipped) + readCount(attributes.disabled);
    this.#count.add('failed', failed);
    this.#count.add('skipped', skipped);
    this.#count.add('passed', readCount(attributes.tests) - failed - skipped);
    if (failed > 0) this.#count.cut();
  }

  /** Names that say the same twice are told once. */
  #suiteName(className: string | null): string {
    const names = [...this.#suites.map(({ name }) => name), className ?? ''].filter((name) => name !== '');
    return names.filter((name, index) => name !== names[index - 1]).join(' > ');
  }
}

/** Where there is no message, the first line of the details is one. */
function firstLine({ message, details }: { message: string; details: string }) {
  return { message: message || (details.trim().split('\n', 1)[0] ?? ''), details };
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

/** Seconds in milliseconds; `1,234.5` has a comma for thousands. */
function readSeconds(text: string | undefined): number | null {
  const seconds = text === undefined || text.trim() === '' ? Number.NaN : Number(text.replaceAll(',', ''));
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
}

function readCount(text: string | undefined): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0;
}
