/** Recorded runs of real agents, from test/fixtures/transcripts. */
import { readdirSync, readFileSync } from 'node:fs';
import type { RunEnd } from '../../src/agents/agent.ts';
import type { ExitStatus } from '../../src/runtimes/runtime.ts';

const FOLDER = new URL('../fixtures/transcripts/', import.meta.url);

export interface Transcript {
  readonly stdout: Buffer;
  readonly lines: readonly string[];
  readonly end: RunEnd;
}

/** `claude-success` … */
export function transcriptNames(agent: string): string[] {
  const suffix = '.jsonl';
  const files = readdirSync(FOLDER).filter((file) => file.startsWith(`${agent}-`) && file.endsWith(suffix));
  return files.map((file) => file.slice(0, -suffix.length)).sort();
}

export function readTranscript(name: string): Transcript {
  const stdout = readFileSync(new URL(`${name}.jsonl`, FOLDER));
  const meta = JSON.parse(readFileSync(new URL(`${name}.meta.json`, FOLDER), 'utf8'));
  const exit: ExitStatus =
    meta.exitCode === null ? { kind: 'signalled', signal: meta.signal } : { kind: 'exited', code: meta.exitCode };
  return {
    stdout,
    lines: stdout.toString('utf8').split('\n'),
    end: { exit, stoppedBecause: null, stderrTail: meta.stderr },
  };
}
