/** What the scripted model needs of a provider's API: one file per provider, no state in any of them. */
import type { Refusal, Turn } from './scripts.ts';

export interface Protocol {
  /** Paths of its requests. */
  readonly path: RegExp;
  read(body: unknown, path: string): ModelRequest;
  /** Server-sent events; `event` is the name of those that have one. A stalled answer has the beginning of them only. */
  stream(answer: Answer): Iterable<Frame>;
  /** In the provider's own words. */
  refuse(refusal: Refusal): { readonly status: number; readonly body: object };
}

export interface ModelRequest {
  readonly model: string;
  readonly messages: readonly Message[];
  /** What the agent lets the model call. */
  readonly tools: readonly Tool[];
}

export interface Message {
  readonly role: 'user' | 'assistant' | 'other';
  readonly text: string;
}

export interface Tool {
  readonly name: string;
  /** Names of its arguments. */
  readonly parameters: readonly string[];
  /** Where tools lie in groups. */
  readonly namespace?: string | undefined;
}

export interface Answer {
  readonly model: string;
  readonly text: string | null;
  /** Under the names that the agent gave its tools. */
  readonly calls: readonly Call[];
  readonly end: NonNullable<Turn['end']>;
  readonly usage: { readonly input: number; readonly output: number };
}

export interface Call {
  readonly tool: string;
  readonly namespace?: string | undefined;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface Frame {
  readonly event: string | null;
  readonly data: unknown;
}

/** A part of a content, or a content of parts. */
export type Content = string | readonly { readonly type?: string; readonly text?: string }[] | null | undefined;

export function textOf(content: Content): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => part.text ?? '').join('\n');
}

/** A schema of arguments -> their names. */
export function parametersOf(schema: { readonly properties?: object } | undefined): string[] {
  return Object.keys(schema?.properties ?? {});
}

let ids = 0;

export function newId(prefix: string): string {
  return `${prefix}_${++ids}`;
}
