/** The agent without a model: a real process that does the steps of a script in the checkout. */
import { MESSAGE_MODES } from '../events/vocabulary.ts';
import type { Agent, AgentRun, AgentTask } from './agent.ts';
import { endedRun } from './ended-run.ts';
import { openLineRun } from './line-agent.ts';
import { ownProgram } from './own-program.ts';
import { resolveScript } from './resolve-script.ts';
import type { ScriptedInput } from './scripted-program.ts';
import { createScriptedReader } from './scripted-stream.ts';
import { failed, outcomeOf } from './verdict.ts';

export interface ScriptedOptions {
  /** What the commands of a script see besides HOME and TMPDIR: PATH, LANG … Nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
}

const PROGRAM = ownProgram('./scripted-program', ['./inbox', './json-fields', '../std/line-splitter']);

export function createScripted({ environment }: ScriptedOptions): Agent {
  return {
    name: 'scripted',
    capabilities: {
      resume: false,
      cost: true,
      models: false,
      messages: MESSAGE_MODES,
      questions: true,
      permissions: true,
    },
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
  const { sessionId, model, asks } = task;
  const input: ScriptedInput = { sessionId, model, asks, steps: script.steps };
  const { work, home, tmp } = task.workspace.paths;
  return openLineRun({
    task,
    reader: createScriptedReader(),
    command: () => ({
      argv: PROGRAM.argv(task.workspace),
      cwd: work,
      env: { ...environment, HOME: home, TMPDIR: tmp },
      stdin: JSON.stringify(input),
      redact: task.redact,
      network: task.network,
      files: PROGRAM.files,
      inbox: true,
    }),
  });
}
