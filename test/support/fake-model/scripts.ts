/** What the scripted model does: a list of its turns. The last turn is repeated for ever. */

interface ToolCall {
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface Turn {
  readonly text?: string;
  readonly calls?: readonly ToolCall[];
  readonly error?: {
    readonly status: number;
    readonly type: string;
    readonly message: string;
    /** When to try again. */
    readonly retryAfterMs?: number;
  };
  readonly usage?: { readonly input: number; readonly output: number };
}

function bash(command: string): readonly ToolCall[] {
  return [{ tool: 'Bash', input: { command, description: 'run a command' } }];
}

/** Touches `ready` once everything runs that has to be killed: TERM-proof, one of them in a session of its own. */
export const STUBBORN =
  `setsid sh -c 'trap "" TERM; touch daemon; while :; do sleep 1; done' & ` +
  `until [ -e daemon ]; do sleep 0.01; done; trap '' TERM INT HUP; touch ready; while :; do sleep 1; done`;

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
  loop: [{ text: 'Looping.', calls: bash('echo loop') }],
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
  e500: [{ error: { status: 500, type: 'api_error', message: 'internal' } }],
  e401: [{ error: { status: 401, type: 'authentication_error', message: 'invalid x-api-key' } }],
  e404: [{ error: { status: 404, type: 'not_found_error', message: 'there is no such model' } }],
  e429: [{ error: { status: 429, type: 'rate_limit_error', message: 'Too Many Requests', retryAfterMs: 50 } }],
};
