/** The report of a test command: files that it has written, or what it has printed. Nothing in either is trusted. */
import { InvalidInputError } from '../errors.ts';
import type { TaskCheckout } from './open-checkout.ts';
import { MAX_REPORT_BYTES, parseReport, type ReportFormat } from './parse-report.ts';
import { type ParsedReport, ReportCount } from './test-report.ts';

const MAX_FILES = 500;

/** All files that match, as one report; `reason` says why there is none. */
export async function readReportFiles(
  { workspace, checkout }: TaskCheckout,
  { glob, format }: { readonly glob: string; readonly format: ReportFormat },
): Promise<ParsedReport> {
  const count = new ReportCount();
  try {
    const files = await checkout.findDeclaredFiles({ globs: [glob], except: [], secrets: [] });
    if (files.length === 0) return refused(`There is no report: no file matches ${glob}.`);
    if (files.length > MAX_FILES) return refused(`More than ${MAX_FILES} reports match ${glob}.`);
    const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (bytes > MAX_REPORT_BYTES) return refused(`The reports have more than ${MAX_REPORT_BYTES / 1024 ** 2} MiB.`);
    for (const { path, absolutePath } of files) {
      const parsed = await parseReport(workspace.read(absolutePath), format);
      if (!parsed.ok) return refused(`${path}: ${parsed.reason}`);
      count.merge(parsed.report);
    }
  } catch (error) {
    if (error instanceof InvalidInputError) return refused(error.issues.map(({ message }) => message).join(' '));
    throw error;
  }
  return { ok: true, report: count.report };
}

function refused(reason: string): ParsedReport {
  return { ok: false, reason };
}
