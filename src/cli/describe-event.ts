/** An event in one line for a person. Everything in it may come from an agent, so everything is cleaned. */
import type { BuildProgressEvent } from '../client/watch-build.ts';
import { oneLine } from './clean-text.ts';
import { describeQuestion } from './describe-question.ts';
import { formatBytes, formatTime } from './format.ts';

const SHORT_SHA = 10;

export function describeEvent(event: BuildProgressEvent): string {
  return oneLine(describe(event));
}

function describe(event: BuildProgressEvent): string {
  switch (event.__typename) {
    case 'BuildQueued':
      return event.runAfter ? `queued until ${formatTime(event.runAfter)}` : 'queued';
    case 'BuildStarted':
      return `started on ${event.workerName}${event.attempt > 1 ? `, attempt ${event.attempt}` : ''}`;
    case 'BuildPhaseChanged':
      return `phase ${event.to.toLowerCase()}`;
    case 'BuildProgressed':
      return event.message;
    case 'AgentStarted':
      return `agent ${[event.provider, event.agentVersion, event.model].filter(Boolean).join(' ')}`;
    case 'AgentActivity':
      return describeActivity(event.content);
    case 'UsageUpdated':
      return describeUsage(event.usage);
    case 'BuildWarning':
      return `warning: ${event.message}`;
    case 'GitCommitted':
      return `committed ${event.sha.slice(0, SHORT_SHA)}, ${count(event.filesChanged, 'file')}: ${event.message}`;
    case 'GitPushed':
      return `pushed ${event.sha.slice(0, SHORT_SHA)} to ${event.ref}`;
    case 'ArtifactCreated':
      return `kept ${event.name}, ${formatBytes(event.sizeBytes)}`;
    case 'BuildMessageSent':
      return `${event.sentBy} tells the agent (${event.mode.toLowerCase()}): ${event.text}`;
    case 'BuildMessageDelivered':
      return `the agent was given ${event.messageId} (${event.deliveredAs.toLowerCase()})`;
    case 'BuildQuestionAsked':
      return `the agent ${describeQuestion(event.question)}`;
    case 'BuildQuestionClosed':
      return `${event.questionId} ${event.state.toLowerCase()}${event.closedBy ? ` by ${event.closedBy}` : ''}`;
    case 'CancelRequested':
      return `cancel requested by ${event.requestedBy}${event.cancelReason ? `: ${event.cancelReason}` : ''}`;
    case 'BuildRetryScheduled':
      return `back in the queue${event.resumeAt ? ` until ${formatTime(event.resumeAt)}` : ''}: ${event.message}`;
    case 'BuildFinished':
      return `finished: ${event.status}${event.failureMessage ? `, ${event.failureMessage}` : ''}`;
  }
}

type Activity = Extract<BuildProgressEvent, { readonly __typename: 'AgentActivity' }>['content'];

function describeActivity(content: Activity): string {
  switch (content.__typename) {
    case 'AgentMessage':
      return `says: ${content.text}`;
    case 'AgentThought':
      return `thinks: ${content.text}`;
    case 'AgentToolCall':
      return `uses ${content.tool} ${content.input ? JSON.stringify(content.input) : ''}`;
    case 'AgentToolResult':
      return `tool ${content.status.toLowerCase()}${content.output ? `: ${content.output}` : ''}`;
    case 'AgentRetry':
      return `tries again: ${content.message}`;
  }
}

export interface UsageNumbers {
  readonly inputTokens?: number | null;
  readonly outputTokens?: number | null;
  readonly costUsd?: number | null;
  readonly turns?: number | null;
}

/** What is unknown is left out. */
export function describeUsage({ inputTokens, outputTokens, costUsd, turns }: UsageNumbers): string {
  const parts = [
    inputTokens === null || inputTokens === undefined ? null : `${inputTokens} tokens in`,
    outputTokens === null || outputTokens === undefined ? null : `${outputTokens} out`,
    turns === null || turns === undefined ? null : count(turns, 'turn'),
    costUsd === null || costUsd === undefined ? null : `$${costUsd.toFixed(4)}`,
  ];
  return `used ${parts.filter((part) => part !== null).join(', ') || 'an unknown amount'}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
