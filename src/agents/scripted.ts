/** The agent without a model: a real process that does the steps of a script in the checkout. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Agent, AgentRun, AgentTask } from './agent.ts';
import { endedRun } from './ended-run.ts';
import { openLineRun } from './line-agent.ts';
import { resolveScript } from './resolve-script.ts';
import type { ScriptedInput } from './scripted-program.ts';
import { createScriptedReader } from './scripted-stream.ts';
import { failed, outcomeOf } from './verdict.ts';

export interface ScriptedOptions {
  /** What the commands of a script see besides HOME and TMPDIR: PATH, LANG … Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Published, the sources are JavaScript. */
const PROGRAM = fileURLToPath(new URL(`./scripted-program${extname(import.meta.url)}`, import.meta.url));
/** Says that the sources are modules. */
const PACKAGE = fileURLToPath(new URL('../../package.json', import.meta.url));

export function createScripted({ environment }: ScriptedOptions): Agent {
  return {
    name: 'scripted',
    capabilities: { resume: false, cost: true, models: false, messages: false, permissions: false },
    modelKey: null,
    probe: async () => ({ available: true, version: process.version }),
    open: (task) => open(task, environment),
  };
}

async function open(task: AgentTask, environment: ScriptedOptions['environment']): Promise<AgentRun> {
  const script = resolveScript(task.prompt, task.scripts);
  if (!script.ok) {
    const facts = { finalText: '', sessionId: null, usage: null, denials: [] };
    return endedRun(outcomeOf(failed('config', script.message), facts));
  }
  const input: ScriptedInput = { sessionId: task.sessionId, model: task.model, steps: script.steps };
  const { work, home, tmp } = task.workspace.paths;
  return openLineRun({
    task,
    reader: createScriptedReader(),
    command: () => ({
      argv: [process.execPath, PROGRAM],
      cwd: work,
      env: { ...environment, HOME: home, TMPDIR: tmp },
      stdin: JSON.stringify(input),
      redact: task.redact,
      network: task.network,
      files: [PROGRAM, PACKAGE],
    }),
  });
}
