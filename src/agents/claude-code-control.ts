/** The lines that Claude Code reads on its stdin: what people say, and the answers to what it asks. */
import type { AgentTask, AgentWord } from './agent.ts';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';

/** Its questions are calls of this tool that it wants to be allowed; the answers come back as part of the input. */
export const QUESTION_TOOL = 'AskUserQuestion';

const DENIED = 'This is not allowed. Go on without it.';
const UNANSWERED = 'Nobody answered. Go on as you see fit.';

/** `client_composed` makes `/compact` and `@secret.txt` plain text instead of a command and an inclusion. */
export function userLine(text: string, uuid: string): string {
  return JSON.stringify({
    type: 'user',
    message: { role: 'user', content: [{ type: 'text', text }] },
    parent_tool_use_id: null,
    client_composed: true,
    uuid,
    session_id: '',
  });
}

/** `request`: of a `control_request`. Is it one for people? */
export function isForPeople(request: JsonFields, asks: AgentTask['asks']): boolean {
  if (request.subtype !== 'can_use_tool') return false;
  return request.tool_name === QUESTION_TOOL ? asks.questions : asks.permissions;
}

/** What people answered to a request that is for them. */
export function answerLine(requestId: string, request: JsonFields, word: AgentWord): string {
  if (request.tool_name === QUESTION_TOOL)
    return responseLine(requestId, answered(fieldsOf(request.input) ?? {}, word));
  if (word.type !== 'decision' || !word.allow) {
    return denialLine(requestId, (word.type === 'decision' && word.message) || DENIED);
  }
  const rule = {
    type: 'addRules',
    rules: [{ toolName: request.tool_name }],
    behavior: 'allow',
    destination: 'session',
  };
  return responseLine(requestId, { behavior: 'allow', ...(word.always ? { updatedPermissions: [rule] } : {}) });
}

export function denialLine(requestId: string, message: string): string {
  return responseLine(requestId, { behavior: 'deny', message });
}

/** The answer to a request that Slipway does not know: without one, Claude Code waits for ever. */
export function errorLine(requestId: string): string {
  const error = 'Slipway does not know this request.';
  return JSON.stringify({ type: 'control_response', response: { subtype: 'error', request_id: requestId, error } });
}

/** A denial would count as a tool that it was not allowed to use. */
function answered(input: JsonFields, word: AgentWord): JsonFields {
  const said = word.type === 'answer' ? word.answers : null;
  if (said === null) return { behavior: 'allow', updatedInput: { ...input, answers: {}, response: UNANSWERED } };
  const answers = itemsOf(input.questions).flatMap(({ question }, index) => {
    const answer = said[index] ?? [];
    return answer.length === 0 ? [] : [[textOf(question) ?? '', answer.join(', ')]];
  });
  return { behavior: 'allow', updatedInput: { ...input, answers: Object.fromEntries(answers) } };
}

function responseLine(requestId: string, response: JsonFields): string {
  return JSON.stringify({
    type: 'control_response',
    response: { subtype: 'success', request_id: requestId, response },
  });
}
