import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseReport, type ReportFormat } from '../../src/task-runs/parse-report.ts';
import { MAX_FAILURES, type TestReport } from '../../src/task-runs/test-report.ts';

async function* pieces(text: string | Buffer, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text as string);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(text: string | Buffer, format: ReportFormat = 'AUTO', size?: number): Promise<TestReport> {
  const parsed = await parseReport(pieces(text, size), format);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.report;
}

async function refusal(text: string | Buffer, format: ReportFormat = 'AUTO'): Promise<string> {
  const parsed = await parseReport(pieces(text, 4096), format);
  return parsed.ok ? '' : parsed.reason;
}

const counts = ({ total, passed, failed, skipped }: TestReport) => ({ total, passed, failed, skipped });

function escapeXml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '"': '&quot;', "'": '&#39;' };
  return text.replaceAll(/[&<"']/g, (character) => names[character] ?? '').replaceAll('>', '&gt;');
}

interface Case {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly message: string;
  readonly noise: string;
}

const words = fc.string({ unit: fc.constantFrom(...'ab&<>\'"äé𝄞 ]-#\\'), maxLength: 20 });
const cases = fc.array(
  fc.record<Case>({
    name: words,
    outcome: fc.constantFrom('passed', 'failed', 'skipped'),
    message: words,
    noise: fc.oneof(words, fc.constant('x'.repeat(20_000)), fc.constant('&'.repeat(9_000))),
  }),
  { maxLength: 30 },
);

function toJunit(tests: readonly Case[]): string {
  const body = tests.map(({ name, outcome, message, noise }) => {
    const verdict = {
      passed: `<system-out><![CDATA[${noise.replaceAll(']]>', '')}]]></system-out>`,
      failed: `<failure message="${escapeXml(message)}"><!-- ${noise.replaceAll('-', '')} -->${escapeXml(noise)}</failure>`,
      skipped: '<skipped/>',
    }[outcome];
    return `<testcase name="${escapeXml(name)}" classname='C' time="0.5">\n${verdict}</testcase>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?><testsuites>\n<testsuite name="S">${body.join('')}</testsuite></testsuites>`;
}

function expected(tests: readonly Case[]) {
  const of = (outcome: string) => tests.filter((one) => one.outcome === outcome).length;
  return { total: tests.length, passed: of('passed'), failed: of('failed'), skipped: of('skipped') };
}

const SIZE = fc.integer({ min: 1, max: 70_000 });

describe('JUnit', () => {
  test('a generated report is read as it was meant, however it is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(cases, SIZE, async (tests, size) => {
        const report = await read(toJunit(tests), 'AUTO', Math.max(size, 50));
        expect(counts(report)).toEqual(expected(tests));
        const failed = tests.filter(({ outcome }) => outcome === 'failed');
        expect(report.failures.map(({ name }) => name)).toEqual(failed.map(({ name }) => name.trim()));
        expect(report.failures.every(({ suite }) => suite === 'S > C')).toBe(true);
        expect(report.durationMs).toBe(tests.length === 0 ? null : tests.length * 500);
      }),
      { numRuns: 60 },
    );
  });

  test.each<[string, string, Partial<TestReport>]>([
    ['one suite as the root', '<testsuite name="a"><testcase name="x"/></testsuite>', { total: 1, passed: 1 }],
    [
      'suites in suites, and properties',
      '<testsuites time="2.5"><testsuite name="a" time="9"><properties><property name="p" value="v"/></properties><testsuite name="b"><testcase name="x"><error type="E">at f</error></testcase></testsuite></testsuite></testsuites>',
      {
        total: 1,
        failed: 1,
        durationMs: 2500,
        failures: [{ suite: 'a > b', name: 'x', message: 'E', details: 'at f' }],
      },
    ],
    [
      'a failure and an error of one test',
      '<testsuite><testcase name="x"><failure>one\ntwo</failure><error>three</error></testcase></testsuite>',
      { total: 1, failed: 1, failures: [{ suite: '', name: 'x', message: 'one', details: 'one\ntwo' }] },
    ],
    [
      'reruns and flaky ones of Surefire',
      '<testsuite><testcase name="x"><flakyFailure message="m"/></testcase><testcase name="y"><failure message="n"/><rerunFailure message="n"/></testcase></testsuite>',
      { total: 2, passed: 1, failed: 1 },
    ],
    [
      'tests that gtest has not run',
      '<testsuites><testsuite><testcase name="x" status="notrun"/><testcase name="y" status="run" result="completed"/></testsuite></testsuites>',
      { total: 2, passed: 1, skipped: 1 },
    ],
    [
      'an error beside the tests',
      '<testsuite name="a.js" tests="0"><error message="cannot load"/></testsuite>',
      { total: 1, failed: 1, failures: [{ suite: 'a.js', name: '', message: 'cannot load', details: '' }] },
    ],
    [
      'numbers only',
      '<testsuites><testsuite tests="7" failures="1" errors="1" skipped="2" time="1,000.5"/></testsuites>',
      { total: 7, passed: 3, failed: 2, skipped: 2, durationMs: 1_000_500, truncated: true },
    ],
    [
      'escapes of a terminal',
      '<testsuite><testcase name="x&#27;[1m"><failure message="a\u001b[0m&#x1B;"/></testcase></testsuite>',
      { failures: [{ suite: '', name: 'x\uFFFD[1m', message: 'a\uFFFD[0m\uFFFD', details: '' }] },
    ],
  ])('reads %s', async (_what, text, report) => {
    for (const size of [1, 3, 10_000]) expect(await read(text, 'AUTO', size)).toMatchObject(report);
  });

  test('reads the encodings that test runners write', async () => {
    const xml = (encoding: string) =>
      `<?xml version="1.0" encoding="${encoding}"?><testsuite><testcase name="ä"><failure/></testcase></testsuite>`;
    const documents = [
      Buffer.from(`\ufeff${xml('utf-8')}`),
      Buffer.from(`\ufeff${xml('utf-16')}`, 'utf16le'),
      Buffer.from(xml('utf-16')),
      Buffer.from(xml('ISO-8859-1'), 'latin1'),
    ];
    for (const document of documents) expect((await read(document)).failures[0]?.name).toBe('ä');
  });

  test.each([
    ['an empty file', ''],
    ['other XML', '<html><body/></html>'],
    ['a document type', '<!DOCTYPE r [<!ENTITY a "aaaa">]><testsuite name="&a;"/>'],
    ['an entity of its own', '<testsuite><testcase name="&lol;"/></testsuite>'],
    ['a document that is cut off', '<testsuite><testcase name="x">'],
    ['a tag that is cut off', '<testsuite><testcase name="x'],
    ['crossed tags', '<testsuite><testcase></testsuite></testcase>'],
    ['a tag without an end', `<testsuite ${'a '.repeat(100_000)}`],
    ['a name without an end', `<testsuite${'a'.repeat(1_000_000)}/>`],
    ['a depth without an end', '<testsuite>'.repeat(100_000)],
    ['an unknown encoding', '<?xml version="1.0" encoding="x-none"?><testsuite/>'],
  ])('refuses %s with a sentence', async (_what, text) => {
    expect(await refusal(text, 'JUNIT')).toMatch(/^The report [\s\S]{1,400}$/);
  });

  test('a report of 100 MB is read in little memory', async () => {
    const noise = Buffer.from('&amp; noise <![CDATA['.slice(0, 12).repeat(5_000));
    async function* large() {
      yield Buffer.from(`<testsuites><testsuite><testcase name="a"><system-out>`);
      for (let bytes = 0; bytes < 60e6; bytes += noise.length) yield noise;
      yield Buffer.from(`</system-out></testcase><testcase name="b" message="`);
      for (let bytes = 0; bytes < 20e6; bytes += noise.length) yield noise;
      yield Buffer.from(`"><failure><![CDATA[`);
      for (let bytes = 0; bytes < 20e6; bytes += noise.length) yield noise;
      yield Buffer.from(`]]></failure></testcase></testsuite></testsuites>`);
    }
    let most = 0;
    const watched = (async function* () {
      const before = process.memoryUsage().heapUsed;
      for await (const piece of large()) {
        most = Math.max(most, process.memoryUsage().heapUsed - before);
        yield piece;
      }
    })();
    const parsed = await parseReport(watched, 'AUTO');
    expect(parsed).toMatchObject({ ok: true, report: { passed: 1, failed: 1, truncated: true } });
    console.log(`100 MB of JUnit: at most ${Math.round(most / 1024 ** 2)} MiB more heap`);
    expect(most).toBeLessThan(64 * 1024 ** 2);
  });
});

describe('TAP', () => {
  test('a generated report is read as it was meant, however it is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(cases, SIZE, fc.boolean(), async (tests, size, planFirst) => {
        const points = tests.map(({ name, outcome, message }, index) => {
          const said = `${index + 1} - ${name.trim().replaceAll(/[\\#]/g, '\\$&')}`;
          if (outcome === 'skipped') return `ok ${said} # SKIP ${message}`;
          if (outcome === 'passed') return `ok ${said}`;
          return `not ok ${said}\n  ---\n  message: "${message.replaceAll('"', '')}"\n  duration_ms: 2\n  ...`;
        });
        const plan = `1..${tests.length}`;
        const lines = planFirst ? [plan, ...points] : [...points, plan];
        const report = await read(`TAP version 14\n${lines.join('\r\n')}\n`, 'TAP', Math.max(size, 50));
        expect(counts(report)).toEqual(expected(tests));
        const failed = tests.filter(({ outcome }) => outcome === 'failed');
        expect(report.failures.map(({ message }) => message)).toEqual(
          failed.map(({ message }) => message.replaceAll('"', '').trim()),
        );
      }),
      { numRuns: 60 },
    );
  });

  test.each<[string, string, Partial<TestReport>]>([
    ['numbers that are missing', 'ok\nnot ok # TODO later\nok # skip\n1..3', { total: 3, passed: 1, skipped: 2 }],
    ['nothing to do', '1..0 # SKIP no tests here', { total: 0, failed: 0 }],
    ['what is no TAP in between', 'hello\n1..1\n# a comment\nok 1 - a \\# b\nokay then', { total: 1, passed: 1 }],
    [
      'tests that did not run',
      '1..3\nok 1\nok 2',
      {
        total: 3,
        failed: 1,
        failures: [{ suite: '', name: 'plan', message: 'The plan was 1..3; 2 tests ran.', details: '' }],
      },
    ],
    ['a report without a plan', 'ok 1', { total: 2, passed: 1, failed: 1 }],
    [
      'tests that were given up',
      '1..9\nok 1\nnot ok 2 - b\nBail out! No disk\nok 3',
      {
        total: 3,
        passed: 1,
        failed: 2,
        failures: [
          { suite: '', name: 'b', message: '', details: '' },
          { suite: '', name: 'Bail out!', message: 'No disk', details: '' },
        ],
      },
    ],
    [
      'subtests, whose own tests count',
      [
        '# Subtest: outer',
        '    # Subtest: inner',
        '        ok 1 - a',
        '        not ok 2 - b',
        '          ---',
        '          error: |-',
        '            it broke',
        '          ...',
        '        1..2',
        '    not ok 1 - inner',
        '    1..1',
        'not ok 1 - outer',
        '1..1',
      ].join('\n'),
      {
        total: 2,
        passed: 1,
        failed: 1,
        failures: [{ suite: 'outer > inner', name: 'b', message: 'it broke', details: 'error: |-\n  it broke' }],
      },
    ],
    [
      'a subtest that fails by itself, and one that may',
      '    ok 1 - a\n    1..1\nnot ok 1 - s\n    not ok 1 - b\n    1..1\nnot ok 2 - t # TODO\n1..2',
      { total: 3, passed: 1, failed: 1, skipped: 1, failures: [{ suite: '', name: 's', message: '', details: '' }] },
    ],
  ])('reads %s', async (_what, text, report) => {
    for (const size of [1, 3, 10_000]) expect(await read(text, 'TAP', size)).toMatchObject(report);
  });

  test('refuses what is no TAP, and a depth without an end', async () => {
    expect(await refusal('Hello\nworld')).toBe('The report is not TAP: it has neither a plan nor a test.');
    expect(await refusal(`${' '.repeat(4_000)}ok 1`)).toMatch(/nested more than 20 deep/);
  });
});

test('whatever it is given, it answers within its bounds', async () => {
  const scraps = [
    ...[
      '<',
      '>',
      '/>',
      '</',
      '<testsuite>',
      '<testcase name="',
      '"',
      '<failure>',
      '</failure>',
      '</testcase>',
      '&',
      ';',
    ],
    ...[
      '<![CDATA[',
      ']]>',
      '<!--',
      '-->',
      '<?',
      '?>',
      '&#0;',
      '&#xD800;',
      '\0',
      '\u001b',
      'ok 1',
      'not ok',
      '\n',
      '1..',
    ],
    ...['    ', '---', '...', '# Subtest: a', '99999999999', 'Bail out!', '# TODO', '\\', "'", ']]', '</testsuite>'],
  ];
  const hostile = fc.array(fc.oneof(fc.constantFrom(...scraps), fc.string({ unit: 'binary', maxLength: 5 })), {
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(hostile, fc.boolean(), fc.integer({ min: 1, max: 40 }), async (parts, isXml, size) => {
      const parsed = await parseReport(pieces((isXml ? '<testsuite>' : '') + parts.join(''), size), 'AUTO');
      if (parsed.ok) {
        const { report } = parsed;
        expect(report.total).toBe(report.passed + report.failed + report.skipped);
        expect(JSON.stringify(report)).not.toContain('\\u0000');
      } else expect(parsed.reason).toMatch(/^The report /);
    }),
    { numRuns: 500 },
  );
  const failure = `<testcase name="${'n'.repeat(5_000)}"><failure message="${'m'.repeat(5_000)}">${'d'.repeat(50_000)}</failure></testcase>`;
  const report = await read(`<testsuite>${failure.repeat(1_000)}</testsuite>`, 'JUNIT', 65_536);
  expect(report).toMatchObject({ total: 1_000, failed: 1_000, truncated: true });
  expect(report.failures).toHaveLength(MAX_FAILURES);
  expect(JSON.stringify(report).length).toBeLessThan(64 * 1024);
});
