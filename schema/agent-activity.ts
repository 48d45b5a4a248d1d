/** What an agent said or did. */
import type { AgentActivityContent } from '../src/events/event.ts';
import { builder } from './builder.ts';

type Kind = AgentActivityContent['kind'];
type ContentOf<K extends Kind> = Extract<AgentActivityContent, { readonly kind: K }>;

const AgentMessage = builder.objectRef<ContentOf<'message' | 'thought'>>('AgentMessage').implement({
  description: 'The agent says something.',
  fields: (t) => ({ text: t.exposeString('text', { description: 'Cut to 16384 characters; the log has all of it.' }) }),
});

const AgentThought = builder.objectRef<ContentOf<'message' | 'thought'>>('AgentThought').implement({
  description: 'The agent thinks aloud.',
  fields: (t) => ({ text: t.exposeString('text', { description: 'Cut to 16384 characters; the log has all of it.' }) }),
});

const AgentToolCall = builder.objectRef<ContentOf<'tool_call'>>('AgentToolCall').implement({
  description: 'The agent uses a tool.',
  fields: (t) => ({
    callId: t.exposeString('callId', { description: 'Names the call: its result has the same one.' }),
    tool: t.exposeString('tool', { description: "The tool's name." }),
    input: t.expose('input', {
      type: 'JSON',
      nullable: true,
      description: 'What the tool is given; long texts are cut.',
    }),
  }),
});

const ToolStatusEnum = builder.enumType('AgentToolStatus', {
  description: 'How the use of a tool ended.',
  values: {
    OK: { value: 'ok', description: 'It worked.' },
    FAILED: { value: 'failed', description: 'It did not.' },
    DENIED: { value: 'denied', description: 'The agent may not use it so.' },
    ABORTED: { value: 'aborted', description: 'It was stopped.' },
  } satisfies Record<string, { value: ContentOf<'tool_result'>['status']; description: string }>,
});

const AgentToolResult = builder.objectRef<ContentOf<'tool_result'>>('AgentToolResult').implement({
  description: 'What a tool gave the agent.',
  fields: (t) => ({
    callId: t.exposeString('callId', { description: 'Of the call.' }),
    status: t.field({ type: ToolStatusEnum, description: 'How it ended.', resolve: ({ status }) => status }),
    output: t.exposeString('output', { nullable: true, description: 'The beginning of it.' }),
    truncated: t.exposeBoolean('truncated', { description: 'There was more of it.' }),
  }),
});

const AgentRetry = builder.objectRef<ContentOf<'retry'>>('AgentRetry').implement({
  description: 'The provider refused or was not reached, and the agent tries again by itself.',
  fields: (t) => ({
    reason: t.exposeString('reason', { description: 'For programs: `rate_limit`.' }),
    message: t.exposeString('message', { description: 'For people.' }),
  }),
});

const MEMBERS: Readonly<Record<Kind, { readonly name: string }>> = {
  message: AgentMessage,
  thought: AgentThought,
  tool_call: AgentToolCall,
  tool_result: AgentToolResult,
  retry: AgentRetry,
};

export const AgentActivityContentRef = builder.unionType('AgentActivityContent', {
  description: 'What an agent said or did. The set may grow.',
  types: [AgentMessage, AgentThought, AgentToolCall, AgentToolResult, AgentRetry],
  resolveType: ({ kind }) => MEMBERS[kind].name,
});
