import { createLineSplitter, type SplitLine } from '../std/line-splitter.ts';
import type { Redact } from './redact.ts';
import { MAX_LINE_BYTES, type OutputLine } from './runtime.ts';

/** Left off the end of a cut line, as a secret that the cut went through is not recognised. Longer than any secret. */
const CUT_MARGIN = 64 * 1024;

export interface OutputLines {
  /** The lines that these bytes complete. */
  push(bytes: Buffer): OutputLine[];
  /** The last line, if it has no line end; to be asked once, at the very end. */
  end(): OutputLine | null;
}

/** The lines of one stream of a run, whose bytes come from the offset `from` on. */
export function createOutputLines(options: {
  readonly stream: 'stdout' | 'stderr';
  readonly from: number;
  readonly redact: Redact;
}): OutputLines {
  const { stream, from, redact } = options;
  const splitter = createLineSplitter(MAX_LINE_BYTES);
  const toOutputLine = ({ text, truncated, end }: SplitLine): OutputLine => {
    const redacted = redact(text);
    const shown = truncated ? redacted.slice(0, -CUT_MARGIN).toWellFormed() : redacted;
    return { stream, text: shown, truncated, end: from + end };
  };
  return {
    push: (bytes) => splitter.push(bytes).map(toOutputLine),
    end() {
      const line = splitter.end();
      return line === null ? null : toOutputLine(line);
    },
  };
}
