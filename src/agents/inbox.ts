/** For the programs of ours that run beside an agent: what people tell it, as it comes. */
import { closeSync, openSync, readSync } from 'node:fs';
import { createLineSplitter } from '../std/line-splitter.ts';
import type { AgentWord } from './agent.ts';
import { parseFields } from './json-fields.ts';

const LOOK_EVERY_MS = 50;
const CHUNK_BYTES = 64 * 1024;
/** A message of 64 KiB, every character of it escaped. */
const MAX_LINE_BYTES = 512 * 1024;

/**
 * Calls `take` with each word, once, in the order in which they were given. What the agent starts does not inherit the
 * inbox. The process does not stay alive for it.
 */
export function openInbox(take: (word: AgentWord) => void): void {
  const path = process.env.SLIPWAY_INBOX;
  delete process.env.SLIPWAY_INBOX;
  if (path === undefined) return;
  const file = openSync(path, 'r');
  const splitter = createLineSplitter(MAX_LINE_BYTES);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const had = new Set<string>();
  const look = setInterval(() => {
    for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk)) {
      for (const { text } of splitter.push(chunk.subarray(0, bytes))) {
        const word = parseWord(text);
        if (word === null || had.has(word.id)) continue;
        had.add(word.id);
        take(word);
      }
    }
  }, LOOK_EVERY_MS);
  look.unref();
  process.once('exit', () => closeSync(file));
}

/** Null for an empty line, and for one that was cut. Only Slipway writes them, so a whole line is a word. */
function parseWord(line: string): AgentWord | null {
  const fields = parseFields(line);
  return fields ? (fields as unknown as AgentWord) : null;
}
