/** The permissions that an ACP agent asks for: settled by rule at once, or by people, whenever they decide. */
import { type AcpRules, answerPermission, CANCELLED, judgePermission } from './acp-permission.ts';
import type { AgentWord } from './agent.ts';
import { fieldsOf, type JsonFields, textOf } from './json-fields.ts';

export interface AcpApprovals {
  /** The result for the request with this id; a promise while people are asked. */
  answer(id: unknown, params: JsonFields): JsonFields | Promise<JsonFields>;
  /** Of a request that nobody waits for: nothing. */
  decide(word: Extract<AgentWord, { type: 'decision' }>): void;
  /** The agent does not wait for the answer to the request with this id any more. */
  withdraw(id: unknown): void;
  /** The turn is over: what is open, and what is still asked, is answered so. */
  cancel(): void;
}

interface OpenRequest {
  readonly id: unknown;
  readonly params: JsonFields;
  readonly settle: (result: JsonFields) => void;
}

/** Requests that wait for people at a time; what is asked beyond them is denied. */
const MAX_OPEN = 200;
/** Tools that are let for the rest of the run. */
const MAX_LASTING = 1000;

export function createAcpApprovals(
  options: AcpRules & {
    /** People are to be asked about the request with this id; they call it `requestId`. */
    readonly onAsked: (id: unknown, requestId: string) => void;
  },
): AcpApprovals {
  const open = new Map<string, OpenRequest>();
  const lasting = new Set<string>();
  let count = 0;
  let isOver = false;

  function settle(requestId: string, result: JsonFields): void {
    open.get(requestId)?.settle(result);
    open.delete(requestId);
  }

  return {
    answer(id, params) {
      if (isOver) return CANCELLED;
      const ruling = judgePermission(params, options);
      if (ruling !== 'ask' || lasting.has(toolOf(params))) return answerPermission(params, ruling !== 'deny');
      if (open.size >= MAX_OPEN) return answerPermission(params, false);
      // An agent may use an id of the protocol again when it was answered.
      const requestId = `permission-${++count}`;
      options.onAsked(id, requestId);
      return new Promise((answered) => open.set(requestId, { id, params, settle: answered }));
    },
    decide({ id, allow, always }) {
      const request = open.get(id);
      if (!request) return;
      const tool = toolOf(request.params);
      if (allow && always && tool !== '' && lasting.size < MAX_LASTING) lasting.add(tool);
      settle(id, answerPermission(request.params, allow));
    },
    withdraw(id) {
      for (const [requestId, request] of open) if (request.id === id) settle(requestId, CANCELLED);
    },
    cancel() {
      isOver = true;
      for (const requestId of open.keys()) settle(requestId, CANCELLED);
    },
  };
}

/** Its name, or what kind it is; empty where the agent says neither. */
function toolOf({ toolCall }: JsonFields): string {
  const call = fieldsOf(toolCall);
  return textOf(call?.name) ?? textOf(call?.kind) ?? '';
}
