/** What the scripted model does: a list of its turns. The last turn is repeated for ever. */

interface ToolCall {
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** Why a provider refuses a request; each has its own status and words for it. */
export type Refusal =
  | 'bad_request'
  | 'wrong_key'
  | 'forbidden'
  | 'no_such_model'
  | 'rate_limit'
  | 'server_error'
  | 'overloaded'
  | 'no_credit'
  | 'too_long';

export interface Turn {
  readonly text?: string;
  readonly calls?: readonly ToolCall[];
  /** In place of an answer. */
  readonly refusal?: Refusal;
  /** When to try again. */
  readonly retryAfterMs?: number;
  /**
   * How the answer ends: `cut_off` at its longest length, `refused` by the provider's filter; `stalled`: it does not, after
   * the text; `silent`: there is none, not even a status.
   */
  readonly end?: 'itself' | 'cut_off' | 'refused' | 'stalled' | 'silent';
  readonly usage?: { readonly input: number; readonly output: number };
}

function bash(command: string): readonly ToolCall[] {
  return [{ tool: 'Bash', input: { command, description: 'run a command' } }];
}

/** Touches `ready` once everything runs that has to be killed: TERM-proof, one of them in a session of its own. */
export const STUBBORN =
  `setsid sh -c 'trap "" TERM; touch daemon; while :; do sleep 1; done' & ` +
  `until [ -e daemon ]; do sleep 0.01; done; trap '' TERM INT HUP; touch ready; while :; do sleep 1; done`;

const LOOP: readonly Turn[] = [{ text: 'Looping.', calls: bash('echo loop') }];

/** Is left running. */
const DEV_SERVER = '(touch ready; while :; do sleep 1; done)';
const WHEN_READY = 'until [ -e ready ]; do sleep 0.01; done; echo listening';

/** 400 KB that do not repeat: Gemini CLI takes a text that does for a loop. */
const LONG_TEXT = Array.from({ length: 20_000 }, (_, line) => `${line * line} is no news.`).join('\n');

const SUBTASK = {
  description: 'a part of the work',
  prompt: 'Do your part. [[script:subtask]]',
  subagent_type: 'general-purpose',
};

/** After this a refused agent may try again. */
const SOON_MS = 50;

/** Makes a model play the script. */
export function promptFor(script: string): string {
  return `Do what is asked for. [[script:${script}]]`;
}

/** What the script `rework` writes into `assets/logo.bin`: every byte once. */
export const LOGO = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Many small turns, so that there is time to watch. */
const TICKS: readonly Turn[] = Array.from({ length: 25 }, (_, index) => ({
  text: `Tick ${index + 1}.`,
  calls: bash('sleep 0.1'),
}));

export const SCRIPTS: Readonly<Record<string, readonly Turn[]>> = {
  default: [{ text: 'Nothing is scripted for this prompt.' }],
  hello: [
    {
      text: 'I will write the file.',
      calls: [{ tool: 'Write', input: { file_path: 'hello.txt', content: 'hello\n' } }],
    },
    { text: 'Now I check it.', calls: bash('wc -c hello.txt') },
    { text: 'Done: hello.txt is written.', usage: { input: 1400, output: 20 } },
  ],
  nothing: [{ text: 'There is nothing to do.' }],
  again: [{ text: 'I remember.', calls: bash('echo again >> hello.txt') }, { text: 'Appended.' }],
  failing: [{ calls: bash('echo to-stderr >&2; exit 3') }, { text: 'The command failed with 3.' }],
  wait: [
    { text: 'Before.', calls: bash('touch ready; until [ -e go ]; do sleep 0.02; done; echo went') },
    { text: 'After.' },
  ],
  stubborn: [{ text: 'I start something.', calls: bash(STUBBORN) }, { text: 'It ended.' }],
  crash: [{ text: 'Goodbye.', calls: bash('kill -9 $PPID; sleep 60') }, { text: 'Still here.' }],
  loop: LOOP,
  spend: LOOP,
  outside: [
    { calls: [{ tool: 'Write', input: { file_path: '../outside.txt', content: 'x' } }] },
    { text: 'I could not write outside.' },
  ],
  escape: [{ calls: bash('echo x > inside.txt; echo x > ../outside.txt') }, { text: 'I tried both.' }],
  env: [{ calls: bash('env | cut -d= -f1 | sort > env.txt') }, { text: 'Written.' }],
  rework: [
    { text: 'I read the text first.', calls: [{ tool: 'Read', input: { file_path: 'README.md' } }] },
    {
      text: 'I change it.',
      calls: [{ tool: 'Edit', input: { file_path: 'README.md', old_string: 'an old text', new_string: 'a new text' } }],
    },
    { calls: [{ tool: 'Write', input: { file_path: 'notes/new.md', content: 'Not tracked before.\n' } }] },
    {
      calls: bash(
        `mv src/old-name.js src/new-name.js && mkdir assets && echo ${LOGO.toString('base64')} | base64 -d > assets/logo.bin`,
      ),
    },
    // What a careless or hostile agent would print.
    {
      calls: bash('echo "key=$ANTHROPIC_API_KEY"; printf %s "$ANTHROPIC_API_KEY" | base64 -w0; env; git config --list'),
    },
    ...TICKS,
    { text: 'Done: one file edited, one renamed, two added.' },
  ],
  vigil: [
    { text: 'I begin.', calls: [{ tool: 'Write', input: { file_path: 'hello.txt', content: 'hello\n' } }] },
    ...TICKS,
    { text: 'I wait.', calls: bash('until [ -e go ]; do sleep 0.05; done; rm go') },
    { text: 'Done: hello.txt is written.' },
  ],
  commands: [
    { text: 'I write it.', calls: [{ tool: 'Write', input: { file_path: 'hello.txt', content: 'hello\n' } }] },
    { calls: bash('echo one > one.txt') },
    { calls: bash('echo two > two.txt') },
    { text: 'I tried all.' },
  ],
  pair: [{ calls: [...bash('echo one > one.txt'), ...bash('touch two.txt')] }, { text: 'I tried both.' }],
  asking: [
    {
      calls: [
        {
          tool: 'AskUserQuestion',
          input: {
            questions: [
              {
                question: 'Which colour?',
                header: 'Colour',
                multiSelect: false,
                options: [
                  { label: 'red', description: 'like a rose' },
                  { label: 'blue', description: 'like the sky' },
                ],
              },
              {
                question: 'Which sizes?',
                header: 'Size',
                multiSelect: true,
                options: [
                  { label: 'S', description: 'small' },
                  { label: 'L', description: 'large' },
                ],
              },
            ],
          },
        },
      ],
    },
    { text: 'I go on.' },
  ],
  approvals: [
    { calls: [{ tool: 'Write', input: { file_path: 'free.txt', content: 'x' } }] },
    { calls: bash("sh -c 'echo one > one.txt'") },
    { calls: bash("sh -c 'echo two > two.txt'") },
    { calls: [{ tool: 'Write', input: { file_path: '../outside.txt', content: 'x' } }] },
    { text: 'That is all.' },
  ],
  parentless: [{ calls: bash(`kill -9 "$(cut -d ' ' -f 4 "/proc/$PPID/stat")"; sleep 60`) }, { text: 'Still here.' }],
  hang: [{ text: 'This will take a while.', calls: bash('touch ready; while :; do sleep 1; done') }],
  devserver: [
    { text: 'I start the server.', calls: bash(`${DEV_SERVER} > server.log 2>&1 & ${WHEN_READY}`) },
    { text: 'The server runs.' },
  ],
  holder: [{ text: 'I start the server.', calls: bash(`${DEV_SERVER} & ${WHEN_READY}`) }, { text: 'The server runs.' }],
  subagent: [
    { text: 'I let somebody else do it.', calls: [{ tool: 'Task', input: SUBTASK }] },
    { text: 'I wait for it.', calls: bash('until [ -e by-subagent.txt ]; do sleep 0.05; done') },
    { text: 'It was done by somebody else.' },
  ],
  subtask: [{ text: 'I do it.', calls: bash('echo done > by-subagent.txt') }, { text: 'The subtask is done.' }],
  loud: [{ text: LONG_TEXT, calls: bash(`head -c 3000000 /dev/zero | tr '\\0' x`) }, { text: 'That was a lot.' }],
  commits: [
    { calls: bash('echo new > new.txt; git add --all; git commit --quiet --message mine') },
    { text: 'I have committed it.' },
  ],
  moves: [
    {
      calls: bash(
        'git checkout --quiet -b other; echo new > new.txt; git branch -D main; git checkout --quiet --detach',
      ),
    },
    { text: 'I am elsewhere.' },
  ],
  silent: [{ end: 'silent' }],
  stalled: [{ text: 'I begin to talk and', end: 'stalled' }],
  cutoff: [{ text: 'This answer is cut', end: 'cut_off' }],
  refusal: [{ end: 'refused' }],
  e400: [{ refusal: 'bad_request' }],
  e401: [{ refusal: 'wrong_key', retryAfterMs: SOON_MS }],
  e403: [{ refusal: 'forbidden', retryAfterMs: SOON_MS }],
  e404: [{ refusal: 'no_such_model' }],
  e429: [{ refusal: 'rate_limit', retryAfterMs: SOON_MS }],
  e500: [{ refusal: 'server_error', retryAfterMs: SOON_MS }],
  e529: [{ refusal: 'overloaded', retryAfterMs: SOON_MS }],
  credit: [{ refusal: 'no_credit', retryAfterMs: SOON_MS }],
  overflow: [{ refusal: 'too_long' }],
  /** The next try is far away. */
  patience: [{ refusal: 'overloaded', retryAfterMs: 30_000 }],
};
