/**
 * Lines that no agent should print. A real program cannot be brought to it by its model, so a small one of ours speaks in
 * its place: it prints the recording of a success, or acts it, with the intrusion in the middle.
 */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Agent } from '../../src/agents/agent.ts';
import { MAX_EVENT_TEXT } from '../../src/events/event.ts';
import { MAX_LINE_BYTES } from '../../src/runtimes/runtime.ts';
import { runToEnd } from '../support/agent-runs.ts';
import { readTranscript } from '../support/transcripts.ts';
import type { AgentHarness, AgentSuite, Intrusion } from './agent-harness.ts';

export function describeLines({ harness, play, bench }: AgentSuite): void {
  async function intrude(intrusion: Intrusion): Promise<void> {
    const opened = await bench();
    if (!harness.intruded) throw new Error('The harness has nothing to intrude with.');
    const { agent, prompt, raw } = await harness.intruded(intrusion, opened);
    const { events, outcome } = await runToEnd(agent, opened.task({ prompt }));
    expect(outcome).toMatchObject({ status: 'succeeded', finalText: expect.stringMatching(/./) });
    const names = events.flatMap((event) => (event.type === 'raw' ? [event.name] : []));
    expect([...new Set(names)]).toEqual(raw);
    const tooLong = events.filter((event) => event.type === 'warning' && event.message.includes('too long'));
    expect(tooLong).toHaveLength(intrusion === 'huge' ? 1 : 0);
    for (const event of events) expect(JSON.stringify(event).length).toBeLessThan(2 * MAX_EVENT_TEXT);
  }

  play('huge lines', () => intrude('huge'));
  play('garbage lines', () => intrude('garbage'));
  play('unknown events', () => intrude('unknown'));
}

const GARBAGE = ['this is no JSON', '[1,2]', '"text"', '{"half":', '\u0000\ud800', '{}'];

const TELEPATHY = { type: 'telepathy', session_id: 's', item: { id: 1 }, thought: 'x' };

const LINES: Readonly<Record<Intrusion, () => readonly string[]>> = {
  garbage: () => GARBAGE,
  unknown: () => [JSON.stringify(TELEPATHY)],
  huge: () => [JSON.stringify({ ...TELEPATHY, thought: 'x'.repeat(MAX_LINE_BYTES) })],
};

/** For an agent that prints lines: a program that prints the recording, with the lines after its first. */
export function intrudedRecording(options: {
  readonly transcript: string;
  readonly create: (program: string) => Agent;
}): NonNullable<AgentHarness['intruded']> {
  return async (intrusion, { workspace }) => {
    const { home } = workspace.paths;
    const [first = '', ...rest] = readTranscript(options.transcript).lines;
    const program = join(home, 'stand-in');
    await writeFile(join(home, 'lines'), [first, ...LINES[intrusion](), ...rest].join('\n'));
    await writeFile(program, `#!/bin/sh\nexec cat '${join(home, 'lines')}'\n`);
    await chmod(program, 0o700);
    const raw = { garbage: ['not an object', 'without type'], unknown: ['telepathy'], huge: [] }[intrusion];
    return { agent: options.create(program), prompt: 'hello', raw };
  };
}
