/** Runs as a thread: looks for secrets in one file at a time, and answers without ever repeating one. */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { lintSource } from '@secretlint/core';
import { rules } from '@secretlint/secretlint-rule-preset-recommend';
import { createRedactor } from '../runtimes/redact.ts';

export interface SearchedFile {
  /** For a person. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** False: only for the registered secrets. */
  readonly rules: boolean;
}

export interface SecretFinding {
  /** Without secrets, should the path itself hold one. */
  readonly path: string;
  /** Null for the path itself. */
  readonly line: number | null;
  /** `GITHUB_TOKEN`, …; `REGISTERED_SECRET` for one of the build's own. */
  readonly rule: string;
  /** The same for the same secret found by the same rule; null where nobody can say whether it stood there before. */
  readonly fingerprint: string | null;
}

/** Of one file, those that stood there before included. */
const MAX_FINDINGS = 1_000;
/** As git does it: NUL in this many first bytes makes a file binary. */
const BINARY_LOOK = 8_000;

/** Addresses that stand for nobody (RFC 2606, loopback): tests and documents are full of them. */
const NOBODY = String.raw`/@(?:[\w.-]+\.)?(?:localhost|127\.0\.0\.1|example(?:\.(?:com|net|org))?|test|invalid)$/`;

const OPTIONS: Readonly<Record<string, object>> = {
  '@secretlint/secretlint-rule-aws': { enableIDScanRule: true },
  '@secretlint/secretlint-rule-basicauth': { allows: [NOBODY] },
};
/** Public: it is in every ARN. */
const ALLOWED = ['AWSAccountID'];

const CONFIG = {
  rules: rules
    // `secretlint-disable` in a comment: who writes the file must not say what is looked for in it.
    .filter(({ meta }) => meta.id !== '@secretlint/secretlint-rule-filter-comments')
    .map((rule) => ({ id: rule.meta.id, rule, options: OPTIONS[rule.meta.id] ?? {}, allowMessageIds: ALLOWED })),
};

const redact = createRedactor((workerData as { registered: readonly string[] }).registered);

async function search({ path, bytes, rules: wanted }: SearchedFile): Promise<SecretFinding[]> {
  const shown = redact(path);
  const findings: SecretFinding[] = [];
  if (shown !== path) findings.push({ path: shown, line: null, rule: 'REGISTERED_SECRET', fingerprint: shown });
  const { text, binary } = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  for (const [line, fingerprint] of registeredLines(text)) {
    findings.push({ path: shown, line, rule: 'REGISTERED_SECRET', fingerprint });
  }
  if (wanted && !binary) {
    for (const found of await matchRules(path, text)) findings.push({ ...found, path: shown });
  }
  if (findings.length <= MAX_FINDINGS) return findings;
  return [{ path: shown, line: null, rule: 'TOO_MANY_FINDINGS', fingerprint: null }];
}

/** What PowerShell writes is text with NULs. */
function decode(bytes: Buffer): { text: string; binary: boolean } {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  if (utf16) return { text: new TextDecoder('utf-16le').decode(bytes), binary: false };
  const binary = bytes.subarray(0, BINARY_LOOK).includes(0);
  return { text: bytes.toString(binary ? 'latin1' : 'utf8'), binary };
}

/** Line numbers, each with the fingerprint of the whole line. */
function registeredLines(text: string): [number, string][] {
  if (redact(text) === text) return [];
  const lines = text.split('\n').flatMap((line, index): [number, string][] => {
    return redact(line) === line ? [] : [[index + 1, fingerprintOf(line)]];
  });
  // A secret of several short lines shows only as a whole.
  return lines.length > 0 ? lines : [[1, fingerprintOf(text)]];
}

async function matchRules(path: string, content: string): Promise<Omit<SecretFinding, 'path'>[]> {
  const source = { filePath: path, content, contentType: 'text' as const, ext: /\.[^./]*$/.exec(path)?.[0] ?? '' };
  const { messages } = await lintSource({ source, options: { config: CONFIG, noPhysicFilePath: true } });
  return messages.map(({ loc, messageId, message }) => ({
    line: loc.start.line,
    rule: messageId,
    // The message repeats the secret.
    fingerprint: fingerprintOf(message),
  }));
}

function fingerprintOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

parentPort?.on('message', (file: SearchedFile) => {
  void search(file).then((findings) => parentPort?.postMessage(findings));
});

// From here on a file's time counts.
parentPort?.postMessage('ready');
