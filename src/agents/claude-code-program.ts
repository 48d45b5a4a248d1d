/**
 * The program around Claude Code: reads a ClaudeInput from stdin and starts Claude Code in the current folder with an
 * input that stays open, for the prompt, what people say, and the answers to what it asks. It passes on what Claude Code
 * prints as it is, with ClaudeNotes of its own between the lines, and ends as Claude Code ends: with its exit code, or 128
 * and the number of its signal.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createLineSplitter } from '../std/line-splitter.ts';
import type { AgentTask, AgentWord } from './agent.ts';
import { answerLine, denialLine, errorLine, isForPeople, userLine } from './claude-code-control.ts';
import { openInbox } from './inbox.ts';
import { fieldsOf, type JsonFields, parseFields, textOf } from './json-fields.ts';

export interface ClaudeInput {
  readonly command: readonly [string, ...string[]];
  readonly prompt: string;
  readonly asks: AgentTask['asks'];
}

/** Its own lines. */
export type ClaudeNote =
  /** This message is part of what the model reads from now on. */
  | { readonly type: 'slipway'; readonly took: string }
  /** This request was answered. */
  | { readonly type: 'slipway'; readonly closed: string };

const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** It uses about ten tools at a time. */
const MAX_ASKED = 100;
const NOT_ALLOWED = 'Nobody can be asked, and this is not allowed. Go on without it.';
/** What it has started may hold its output open after its end. */
const DRAIN_MS = 2_000;
const NEWLINE = 0x0a;

openInbox(hear);
const { command, prompt, asks } = JSON.parse(readFileSync(0, 'utf8')) as ClaudeInput;
const [program, ...args] = command;
const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
// They reach our whole group, and Claude Code decides when it ends.
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
// Only a failure of ours, such as a full disk, ends us before it.
process.once('exit', () => child.kill('SIGTERM'));

/** Messages that it was given and has not begun to heed, by the id that we gave them. */
const given = new Map<string, string>();
/** Requests that wait for people. */
const asked = new Map<string, JsonFields>();
let tellsItsState = false;
let isIdle = false;

const splitter = createLineSplitter(MAX_LINE_BYTES);
let midLine = false;
let notes = '';

child.stdin.on('error', () => {});
child.stdout.on('data', (chunk: Buffer) => {
  print(chunk);
  midLine = chunk.at(-1) !== NEWLINE;
  for (const { text, truncated } of splitter.push(chunk)) if (!truncated) heed(text);
  printNotes();
});
const drained = new Promise<void>((done) => child.stdout.on('close', done));
child.on('error', (error: NodeJS.ErrnoException) => {
  if (child.pid !== undefined) return;
  process.stderr.write(`${program}: ${error.code === 'ENOENT' ? 'not found' : error.message}\n`);
  process.exit(error.code === 'ENOENT' ? 127 : 126);
});
child.on('exit', async (code, signal) => {
  await Promise.race([drained, delay(DRAIN_MS)]);
  process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
});
give(userLine(prompt, randomUUID()));

/** A line of Claude Code. */
function heed(line: string): void {
  const fields = parseFields(line);
  if (fields?.type === 'control_request') {
    takeRequest(textOf(fields.request_id) ?? '', fieldsOf(fields.request) ?? {});
  } else if (fields?.type === 'control_cancel_request') {
    asked.delete(textOf(fields.request_id) ?? '');
  } else if (fields?.type === 'command_lifecycle') {
    takeLifecycle(textOf(fields.command_uuid) ?? '', fields.state);
  } else if (fields?.type === 'system' && fields.subtype === 'session_state_changed') {
    tellsItsState = true;
    isIdle = fields.state === 'idle';
  } else if (fields?.type === 'result' && !tellsItsState) {
    // It ended before its session began, or is a release that does not tell: no more is known of its end than this.
    isIdle = true;
  }
  // Nobody has to be there for it to end: without input it goes when its work is done.
  if (isIdle && given.size === 0) child.stdin.end();
}

function takeRequest(requestId: string, request: JsonFields): void {
  if (request.subtype !== 'can_use_tool') {
    give(errorLine(requestId));
  } else if (!isForPeople(request, asks)) {
    give(denialLine(requestId, NOT_ALLOWED));
  } else if (asked.size < MAX_ASKED && child.stdin.writable) {
    asked.set(requestId, request);
  } else {
    give(denialLine(requestId, NOT_ALLOWED));
    note({ type: 'slipway', closed: requestId });
  }
}

function takeLifecycle(uuid: string, state: unknown): void {
  const messageId = given.get(uuid);
  if (messageId === undefined || state === 'queued') return;
  given.delete(uuid);
  if (state === 'started') note({ type: 'slipway', took: messageId });
}

function hear(word: AgentWord): void {
  if (!child.stdin.writable) return;
  if (word.type === 'message') {
    const uuid = randomUUID();
    given.set(uuid, word.id);
    give(userLine(word.text, uuid));
    return;
  }
  const request = asked.get(word.id);
  if (request === undefined) return;
  asked.delete(word.id);
  give(answerLine(word.id, request, word));
  note({ type: 'slipway', closed: word.id });
}

function give(line: string): void {
  if (child.stdin.writable) child.stdin.write(`${line}\n`);
}

function note(line: ClaudeNote): void {
  notes += `${JSON.stringify(line)}\n`;
  printNotes();
}

/** Never in the middle of a line. */
function printNotes(): void {
  if (midLine || notes === '') return;
  print(notes);
  notes = '';
}

/** Whole, or it throws: on a full disk a stream of Node writes what has room and forgets the rest. */
function print(output: string | Buffer): void {
  writeFileSync(process.stdout.fd, output);
}
