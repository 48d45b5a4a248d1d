/** What the builds of a run ask for: agents of every kind that a worker has to live with. */

import { script } from '../support/script.ts';
import type { Random } from './random.ts';

interface AgentKind {
  readonly name: string;
  readonly weight: number;
  /** `file` is this build's own, so that no two builds change the same. */
  readonly steps: (context: {
    readonly file: string;
    readonly leakScript: string;
    readonly random: Random;
  }) => object[];
}

const talk = (seconds: number) =>
  Array.from({ length: Math.round(seconds * 2) }, (_, index) => [{ print: `word ${index}` }, { wait: 0.5 }]).flat();
const write = (path: string) => ({ write: { path, content: `${path}\n` } });

/** None is silent for longer than a second or two: the oracle takes silence for a build that is stuck. */
const KINDS: readonly AgentKind[] = [
  { name: 'quick', weight: 40, steps: ({ file }) => [{ print: 'quick' }, write(file)] },
  {
    name: 'slow',
    weight: 15,
    steps: ({ file, random }) => [...talk(random.between(2, 6)), write(file)],
  },
  {
    // Longer than a lease: when its worker is stopped, another one runs it at the moment when that worker is back.
    name: 'long',
    weight: 5,
    steps: ({ file, random }) => [...talk(random.between(25, 35)), write(file)],
  },
  {
    name: 'chatty',
    weight: 8,
    steps: ({ file }) => [
      { run: 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo "line $i of a very long story"; done' },
      ...Array.from({ length: 60 }, (_, index) => ({ print: `event ${index}` })),
      write(file),
    ],
  },
  {
    name: 'forking',
    weight: 8,
    steps: ({ file }) => [
      { run: 'setsid sh -c "sleep 120" & setsid sleep 120 & nohup sleep 120 >/dev/null 2>&1 & echo forked' },
      write(file),
    ],
  },
  {
    name: 'stubborn',
    weight: 8,
    steps: ({ file }) => [
      { run: "trap '' TERM INT HUP; for i in 1 2 3 4 5 6; do echo still here $i; sleep 0.5; done" },
      write(file),
    ],
  },
  { name: 'leaking', weight: 10, steps: ({ file, leakScript }) => [{ run: `sh ${leakScript}` }, write(file)] },
  { name: 'failing', weight: 6, steps: ({ file }) => [write(file), { fail: 'as asked' }] },
  { name: 'idle', weight: 3, steps: () => [{ print: 'there is nothing to do' }] },
  {
    name: 'heavy',
    weight: 2,
    steps: ({ file }) => [{ run: `head -c 3000000 /dev/urandom > ${file}.bin` }, { print: 'heavy' }, write(file)],
  },
];

export interface ChosenAgent {
  readonly name: string;
  readonly prompt: string;
}

export function chooseAgent(context: { file: string; leakScript: string; random: Random }): ChosenAgent {
  const kind = context.random.weigh(KINDS);
  return { name: kind.name, prompt: script(...kind.steps(context)) };
}
