/** For the programs of ours that run beside an agent: what people tell it, as it comes. */
import { closeSync, openSync, readSync } from 'node:fs';
import { createLineSplitter } from '../std/line-splitter.ts';
import type { AgentWord } from './agent.ts';
import { parseFields, textOf } from './json-fields.ts';

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

/** Null for an empty line, for one that was cut, and for what is no word: without a sandbox others could write here. */
function parseWord(line: string): AgentWord | null {
  const { type, id, text, answers, allow, always, message } = parseFields(line) ?? {};
  if (typeof id !== 'string') return null;
  if (type === 'message' && typeof text === 'string') return { type, id, text };
  if (type === 'answer' && isAnswers(answers)) return { type, id, answers };
  if (type !== 'decision' || typeof allow !== 'boolean') return null;
  return { type, id, allow, always: always === true, message: textOf(message) };
}

function isAnswers(value: unknown): value is readonly (readonly string[])[] | null {
  const isChosen = (chosen: unknown) => Array.isArray(chosen) && chosen.every((text) => typeof text === 'string');
  return value === null || (Array.isArray(value) && value.every(isChosen));
}
