/**
 * The scripted agent's program: reads a ScriptedInput from stdin, does the steps in the current folder and prints one
 * event per line as JSON, the result last. What commands print goes out as it is, between the events. It repeats what it
 * is told, and waits for the answers to what it asks.
 * It ends with 0, with 1 after a failed step, and with 143 and without a result on SIGTERM.
 */
import { spawn } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import type { AgentRequest, Usage } from '../events/event.ts';
import type { AgentEvent, AgentReason, AgentTask, AgentWord } from './agent.ts';
import { openInbox } from './inbox.ts';
import type { ScriptedStep } from './scripted-steps.ts';

export interface ScriptedInput {
  readonly sessionId: string;
  readonly model: string | null;
  readonly asks: AgentTask['asks'];
  readonly steps: readonly ScriptedStep[];
}

/** The last line. */
export type ScriptedResult =
  | { readonly type: 'result'; readonly ok: true }
  | { readonly type: 'result'; readonly ok: false; readonly reason: AgentReason; readonly message: string };

/** What a step ended with: a failure, or what there is to show. */
type StepEnd = { readonly failure: string; readonly reason?: AgentReason | undefined } | { readonly output: string };

/** Characters; the reader cuts it to what an event may hold. */
const MAX_OUTPUT = 64 * 1024;
/** A command that has ended may have left a child behind that holds its output open. */
const DRAIN_MS = 250;

let midLine = false;
const answers = new Map<string, (word: AgentWord) => void>();

process.on('SIGTERM', () => process.exit(143));
openInbox(hear);
const input = JSON.parse(readFileSync(0, 'utf8')) as ScriptedInput;
await perform(input);
// A child that a command left behind may hold its pipes to us: it must not keep us alive.
process.exit();

async function perform({ sessionId, model, steps }: ScriptedInput): Promise<void> {
  emit({ type: 'started', sessionId, model, agentVersion: null });
  for (const [index, step] of steps.entries()) {
    const end = await attempt(step, `step-${index + 1}`);
    if ('output' in end) continue;
    const message = 'fail' in step ? end.failure : `Step ${index + 1} (${Object.keys(step)[0]}): ${end.failure}`;
    emit({ type: 'result', ok: false, reason: end.reason ?? 'agent_error', message });
    process.exitCode = 1;
    return;
  }
  emit({ type: 'turn_finished' });
  emit({ type: 'result', ok: true });
}

async function attempt(step: ScriptedStep, callId: string): Promise<StepEnd> {
  const [tool = '', input] = Object.entries(step)[0] ?? [];
  const showsAsTool = 'write' in step || 'edit' in step || 'delete' in step || 'run' in step;
  if (showsAsTool) emit({ type: 'activity', content: { kind: 'tool_call', callId, tool, input } });
  const end = await doStep(step, callId).catch((error: Error): StepEnd => ({ failure: error.message }));
  if (showsAsTool) {
    const output = 'output' in end ? end.output : end.failure;
    const status = 'output' in end ? 'ok' : 'failed';
    emit({ type: 'activity', content: { kind: 'tool_result', callId, status, output, truncated: false } });
  }
  return end;
}

async function doStep(step: ScriptedStep, callId: string): Promise<StepEnd> {
  if ('write' in step) return writeFile(step.write.path, step.write.content);
  if ('edit' in step) return editFile(step.edit);
  if ('delete' in step) {
    rmSync(inside(step.delete.path), { recursive: true });
    return { output: `Deleted ${step.delete.path}.` };
  }
  if ('run' in step) {
    const { code, output } = await run(step.run);
    return code === 0 || step.allowFailure ? { output } : { failure: `exit code ${code}\n${output}`.trim() };
  }
  if ('ask' in step) return askQuestion(callId, step.ask);
  if ('approve' in step) return askPermission(callId, step.approve);
  if ('wait' in step) await setTimeout(step.wait * 1000);
  if ('print' in step) say(step.print);
  if ('retry' in step) emit({ type: 'retry', ...step.retry, attempt: null });
  if ('usage' in step) emit({ type: 'usage', usage: usageOf(step.usage) });
  return 'fail' in step ? { failure: step.fail, reason: step.reason } : { output: '' };
}

function hear(word: AgentWord): void {
  if (word.type !== 'message') {
    answers.get(word.id)?.(word);
    return;
  }
  emit({ type: 'message_taken', messageId: word.id });
  say(`I was told: ${word.text}`);
}

async function askQuestion(
  callId: string,
  ask: { question: string; options?: string[] | undefined },
): Promise<StepEnd> {
  const options = (ask.options ?? []).map((label) => ({ label, description: null }));
  const question = { question: ask.question, header: null, options, multiple: false };
  const word = input.asks.questions ? await request(callId, { kind: 'QUESTION', questions: [question] }) : null;
  const said = word?.type === 'answer' ? (word.answers?.[0] ?? null) : null;
  say(said ? `The answer is: ${said.join(', ')}` : 'Nobody answered.');
  return { output: '' };
}

/** Shows as a tool that was used, or denied. */
async function askPermission(
  callId: string,
  { tool, input: wanted }: { tool: string; input?: unknown },
): Promise<StepEnd> {
  emit({ type: 'activity', content: { kind: 'tool_call', callId, tool, input: wanted ?? null } });
  const asked = { kind: 'PERMISSION', tool, input: wanted ?? null, description: null } as const;
  const word = input.asks.permissions ? await request(callId, asked) : null;
  const allowed = word === null || (word.type === 'decision' && word.allow);
  const output = allowed
    ? 'It was allowed.'
    : `It was denied: ${(word.type === 'decision' && word.message) || 'no reason was given'}`;
  const status = allowed ? 'ok' : 'denied';
  emit({ type: 'activity', content: { kind: 'tool_result', callId, status, output, truncated: false } });
  return { output };
}

function request(requestId: string, asked: AgentRequest): Promise<AgentWord> {
  const answered = new Promise<AgentWord>((settle) => {
    answers.set(requestId, (word) => {
      answers.delete(requestId);
      emit({ type: 'request_closed', requestId });
      clearInterval(awake);
      settle(word);
    });
  });
  // The inbox alone does not keep the process alive.
  const awake = globalThis.setInterval(() => {}, 60_000);
  emit({ type: 'asked', requestId, request: asked });
  return answered;
}

function say(message: string): void {
  emit({ type: 'activity', content: { kind: 'message', text: message } });
}

function usageOf(said: { readonly [K in keyof Usage]?: Usage[K] | undefined }): Usage {
  return {
    inputTokens: said.inputTokens ?? null,
    outputTokens: said.outputTokens ?? null,
    cacheReadTokens: said.cacheReadTokens ?? null,
    cacheWriteTokens: said.cacheWriteTokens ?? null,
    costUsd: said.costUsd ?? null,
    turns: said.turns ?? null,
  };
}

function writeFile(path: string, content: string): StepEnd {
  const target = inside(path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
  return { output: `Wrote ${path} (${Buffer.byteLength(content)} bytes).` };
}

function editFile({ path, find, replace }: { path: string; find: string; replace: string }): StepEnd {
  const target = inside(path);
  const content = readFileSync(target, 'utf8');
  if (!content.includes(find)) return { failure: `${path} does not contain the text to replace` };
  writeFileSync(
    target,
    content.replace(find, () => replace),
  );
  return { output: `Edited ${path}.` };
}

/** The path in the checkout; throws when a symbolic link on the way leads out of it. */
function inside(path: string): string {
  const root = realpathSync('.');
  const target = resolve(root, path);
  let existing = target;
  while (!lstatSync(existing, { throwIfNoEntry: false })) existing = dirname(existing);
  const real = realpathSync(existing);
  if (target !== root && (real === root || real.startsWith(root + sep))) return target;
  throw new Error(`${path} is not inside the checkout`);
}

/** What the command prints is passed on at once; `output` is the beginning of it. */
async function run(command: string): Promise<{ code: number; output: string }> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  function pass(from: Readable, to: NodeJS.WriteStream): void {
    from.setEncoding('utf8');
    from.on('data', (chunk: string) => {
      to.write(chunk);
      if (to === process.stdout) midLine = !chunk.endsWith('\n');
      output += chunk.slice(0, MAX_OUTPUT - output.length);
    });
  }
  pass(child.stdout, process.stdout);
  pass(child.stderr, process.stderr);
  const closed = new Promise<void>((done) => child.on('close', () => done()));
  const code = await new Promise<number>((done, failed) => {
    child.on('error', failed);
    child.on('exit', (status) => done(status ?? 128));
  });
  await Promise.race([closed, setTimeout(DRAIN_MS, undefined, { ref: false })]);
  child.stdout.removeAllListeners('data').resume();
  child.stderr.removeAllListeners('data').resume();
  return { code, output: output.trimEnd() };
}

/** Whole, or it throws: on a full disk a stream of Node writes what has room and forgets the rest. */
function emit(line: AgentEvent | ScriptedResult): void {
  writeFileSync(process.stdout.fd, `${midLine ? '\n' : ''}${JSON.stringify(line)}\n`);
  midLine = false;
}
