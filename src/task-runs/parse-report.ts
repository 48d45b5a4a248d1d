/** The report of a test command, whatever its size: it is read as it comes, and little of it is held. */
import { createLineSplitter } from '../std/line-splitter.ts';
import { JunitParser } from './parse-junit.ts';
import { TapParser } from './parse-tap.ts';
import { type ParsedReport, ReportError, type TestReport } from './test-report.ts';

export const REPORT_FORMATS = ['AUTO', 'JUNIT', 'TAP'] as const;
/** AUTO: XML when it begins with `<`, else TAP. */
export type ReportFormat = (typeof REPORT_FORMATS)[number];

export const MAX_REPORT_BYTES = 256 * 1024 ** 2;
const MAX_LINE_BYTES = 64 * 1024;
/** In which a declaration of the encoding stands. */
const HEAD_BYTES = 256;

interface Parser {
  push(bytes: Buffer): void;
  end(): TestReport;
}

/** Rejects only when reading does. */
export async function parseReport(bytes: AsyncIterable<Uint8Array>, format: ReportFormat): Promise<ParsedReport> {
  let parser: Parser | null = null;
  let head = Buffer.alloc(0);
  let total = 0;
  try {
    for await (const piece of bytes) {
      total += piece.length;
      if (total > MAX_REPORT_BYTES) {
        throw new ReportError(`The report has more than ${MAX_REPORT_BYTES / 1024 ** 2} MiB.`);
      }
      let next = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
      if (!parser) {
        head = Buffer.concat([head, next]);
        if (head.length < HEAD_BYTES) continue;
        parser = openParser(head, format);
        next = head;
      }
      parser.push(next);
    }
    if (!parser) {
      parser = openParser(head, format);
      parser.push(head);
    }
    return { ok: true, report: parser.end() };
  } catch (error) {
    if (error instanceof ReportError) return { ok: false, reason: error.message };
    throw error;
  }
}

function openParser(head: Buffer, format: ReportFormat): Parser {
  const encoding = encodingOf(head);
  const isXml = format === 'JUNIT' || (format === 'AUTO' && startOf(head, encoding).startsWith('<'));
  return isXml ? xmlParser(encoding) : tapParser();
}

function startOf(head: Buffer, encoding: string): string {
  return new TextDecoder(encoding).decode(head, { stream: true }).trimStart();
}

function xmlParser(encoding: string): Parser {
  const junit = new JunitParser();
  const decoder = new TextDecoder(encoding);
  return {
    push: (bytes) => junit.push(decoder.decode(bytes, { stream: true })),
    end() {
      junit.push(decoder.decode());
      return junit.end();
    },
  };
}

function tapParser(): Parser {
  const tap = new TapParser();
  const splitter = createLineSplitter(MAX_LINE_BYTES);
  return {
    push(bytes) {
      for (const { text } of splitter.push(bytes)) tap.line(text);
    },
    end() {
      const last = splitter.end();
      if (last) tap.line(last.text);
      return tap.end();
    },
  };
}

/** UTF-16 only by its mark: what says so without one is UTF-8 that was written by .NET. */
function encodingOf(head: Buffer): string {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le';
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be';
  const declared = /^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})["']/.exec(head.toString('latin1'))?.[1];
  if (declared === undefined || /^(?:utf|ucs)-?16/i.test(declared)) return 'utf-8';
  try {
    return new TextDecoder(declared).encoding;
  } catch {
    throw new ReportError(`The report is written in ${declared}, which is not known.`);
  }
}
