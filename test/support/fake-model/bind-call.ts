/** The scripts call tools as Claude Code names them; every other agent has its own names for the same. */
import type { Call, Tool } from './protocol.ts';

const NAMES: Readonly<Record<string, readonly string[]>> = {
  Bash: ['bash', 'run_shell_command', 'exec_command', 'shell_command', 'exec'],
  Write: ['write', 'write_file'],
  Read: ['read', 'read_file'],
  Edit: ['edit', 'replace'],
  AskUserQuestion: ['question'],
  Task: ['Agent', 'task', 'invoke_agent', 'spawn_agent'],
};

const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  command: ['cmd'],
  file_path: ['filePath', 'path'],
  old_string: ['oldString'],
  new_string: ['newString'],
  subagent_type: ['agent_name', 'agent_type'],
  prompt: ['message'],
};

/** What each calls the subagent that can do anything. */
const SUBAGENTS: Readonly<Record<string, string>> = { task: 'general', invoke_agent: 'generalist' };

/** How long a tool may wait for a command before it tells the model that it still runs. */
const PATIENCE = { yield_time_ms: 30_000, timeout_ms: 60_000 };

/** The same call of a tool that the agent has announced. A file is written by a command where nothing else can. */
export function bindCall(call: Call, tools: readonly Tool[]): Call {
  const tool = [call.tool, ...(NAMES[call.tool] ?? [])].flatMap(
    (name) => tools.find((one) => one.name === name) ?? [],
  )[0];
  if (tool) return { tool: tool.name, namespace: tool.namespace, input: bindInput(call.input, tool) };
  const { file_path, content } = call.input;
  if (call.tool !== 'Write') return call;
  const encoded = Buffer.from(String(content)).toString('base64');
  return bindCall({ tool: 'Bash', input: { command: `echo ${encoded} | base64 -d > '${file_path}'` } }, tools);
}

function bindInput(input: Call['input'], { name: tool, parameters }: Tool): Call['input'] {
  const subagent = SUBAGENTS[tool];
  const given = subagent === undefined ? input : { ...input, subagent_type: subagent };
  const bound = Object.entries(given).flatMap(([name, value]) => {
    const known = [name, ...(ARGUMENTS[name] ?? [])].find((one) => parameters.includes(one));
    return known === undefined ? [] : [[known, value] as const];
  });
  const patience = Object.entries(PATIENCE).filter(([name]) => parameters.includes(name));
  return Object.fromEntries([...bound, ...patience]);
}
