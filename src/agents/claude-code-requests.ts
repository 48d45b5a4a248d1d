/** What Claude Code asks people, and when it does not wait any more, out of its lines and those of our program around it. */
import { type AgentQuestion, type AgentRequest, MAX_EVENT_TEXT } from '../events/event.ts';
import type { AgentEvent, AgentTask } from './agent.ts';
import { isForPeople, QUESTION_TOOL } from './claude-code-control.ts';
import type { ClaudeNote } from './claude-code-program.ts';
import { cutJson } from './cut-json.ts';
import { fieldsOf, itemsOf, type JsonFields, textOf } from './json-fields.ts';
import { nameOf, warn } from './line-events.ts';

export interface ClaudeRequestReader {
  /** Null for a line of another kind. */
  read(fields: JsonFields): readonly AgentEvent[] | null;
}

const MAX_QUESTIONS = 10;
const MAX_OPTIONS = 20;
/** Ends the list of those that the program lets wait. */
const MAX_OPEN = 1000;

export function createClaudeRequestReader(asks: AgentTask['asks']): ClaudeRequestReader {
  const open = new Set<string>();

  function ask(requestId: string, asked: JsonFields): AgentEvent[] {
    const tool = nameOf(asked.tool_name) ?? 'a tool';
    if (asked.subtype !== 'can_use_tool') {
      return [{ type: 'raw', name: `control_request/${nameOf(asked.subtype) ?? ''}` }];
    }
    if (!isForPeople(asked, asks)) return warn(`${tool} was denied: it needs a permission, and nobody can be asked.`);
    if (open.size < MAX_OPEN) open.add(requestId);
    return [{ type: 'asked', requestId, request: requestOf(tool, asked) }];
  }

  function close(requestId: string): AgentEvent[] {
    return open.delete(requestId) ? [{ type: 'request_closed', requestId }] : [];
  }

  return {
    read(fields) {
      switch (fields.type) {
        case 'control_request':
          return ask(nameOf(fields.request_id) ?? '', fieldsOf(fields.request) ?? {});
        case 'control_cancel_request':
          return close(nameOf(fields.request_id) ?? '');
        case 'slipway' satisfies ClaudeNote['type']: {
          const taken = nameOf(fields.took);
          return taken === null ? close(nameOf(fields.closed) ?? '') : [{ type: 'message_taken', messageId: taken }];
        }
        default:
          return null;
      }
    },
  };
}

function requestOf(tool: string, { input, description }: JsonFields): AgentRequest {
  const cut = cutJson(input ?? null, MAX_EVENT_TEXT);
  if (tool === QUESTION_TOOL) {
    return { kind: 'QUESTION', questions: itemsOf(fieldsOf(cut)?.questions).slice(0, MAX_QUESTIONS).map(questionOf) };
  }
  return { kind: 'PERMISSION', tool, input: cut, description: nameOf(description) };
}

function questionOf({ question, header, options, multiSelect }: JsonFields): AgentQuestion {
  return {
    question: textOf(question) ?? '',
    header: nameOf(header),
    options: itemsOf(options)
      .slice(0, MAX_OPTIONS)
      .map((option) => ({ label: textOf(option.label) ?? '', description: textOf(option.description) })),
    multiple: multiSelect === true,
  };
}
