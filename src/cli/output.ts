/** stdout is for what a command answers, stderr for what it tells on the way. */
import { styleText } from 'node:util';
import { formatTable } from './format.ts';
import type { Io } from './io.ts';

type Style = Parameters<typeof styleText>[0];

export interface Output {
  /** Answers are JSON. */
  readonly json: boolean;
  /** One line of the answer. */
  line(text: string): void;
  /** Rows of the answer below their heads, cut to the width of a terminal. */
  table(rows: readonly (readonly string[])[]): void;
  /** An answer of `--json`, indented. */
  value(value: unknown): void;
  /** One of many answers of `--json`: one line. */
  record(value: unknown): void;
  /** Something on the way. */
  note(text: string): void;
  /** Coloured where stdout is a terminal and NO_COLOR does not say otherwise. */
  style(style: Style, text: string): string;
}

export function createOutput({ stdout, stderr }: Io, flags: { readonly json?: boolean | undefined }): Output {
  return {
    json: flags.json ?? false,
    line: (text) => void stdout.write(`${text}\n`),
    table: (rows) => void stdout.write(`${formatTable(rows, stdout.isTTY ? stdout.columns : undefined)}\n`),
    value: (value) => void stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    record: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    style: (style, text) => (stdout.isTTY ? styleText(style, text, { stream: stdout }) : text),
  };
}
