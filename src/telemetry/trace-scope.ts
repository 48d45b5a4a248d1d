/**
 * What is being done at the moment, for spans and for log lines: it goes with the call, as AsyncLocalStorage does, so
 * that what lies between need not hand it on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Span, SpanAttributes, SpanStart, Tracing } from './span.ts';
import type { TraceIds } from './trace-ids.ts';

export type LogFields = Readonly<Record<string, string | number>>;

export interface ScopeOptions {
  readonly tracing: Tracing;
  readonly span: SpanStart;
  /** In every line that is logged meanwhile. */
  readonly fields?: LogFields;
}

/** What the work may say of itself. */
export type OpenScope = Pick<Span, 'ids' | 'set' | 'fail'>;

class Scope implements OpenScope {
  readonly tracing: Tracing;
  readonly fields: LogFields;
  /** Whose stages these are: those of the outermost scope. */
  readonly outer: Scope;
  readonly #span: Span;
  #stage: { readonly name: string; readonly span: Span } | null = null;

  constructor({ tracing, span, fields = {} }: ScopeOptions, outer?: Scope) {
    this.tracing = tracing;
    this.fields = fields;
    this.outer = outer ?? this;
    this.#span = tracing.start(span);
  }

  get ids(): TraceIds {
    return this.#stage?.span.ids ?? this.#span.ids;
  }

  set(attributes: SpanAttributes): void {
    this.#span.set(attributes);
  }

  fail(errorType: string): void {
    this.#stage?.span.fail(errorType);
    this.#span.fail(errorType);
  }

  enter(name: string): void {
    if (this.#stage?.name === name) return;
    this.#stage?.span.end();
    this.#stage = { name, span: this.tracing.start({ name, parent: this.#span.ids }) };
  }

  end(): void {
    this.#stage?.span.end();
    this.#span.end();
  }
}

const scopes = new AsyncLocalStorage<Scope>();

/** Runs `work` in a scope of its own, whatever is being done here. */
export function withScope<T>(options: ScopeOptions, work: (scope: OpenScope) => Promise<T>): Promise<T> {
  return run(new Scope(options), work);
}

/** Runs `work` as a part of what is being done; where that is not known, without a span. */
export function inSpan<T>(
  { name, attributes = {}, kind }: Pick<SpanStart, 'name' | 'attributes' | 'kind'>,
  work: (scope: OpenScope | null) => Promise<T>,
): Promise<T> {
  const around = scopes.getStore();
  if (!around) return work(null);
  const { tracing, fields, ids: parent, outer } = around;
  return run(new Scope({ tracing, fields, span: { name, attributes, parent, ...(kind && { kind }) } }, outer), work);
}

async function run<T>(scope: Scope, work: (scope: OpenScope) => Promise<T>): Promise<T> {
  try {
    return await scopes.run(scope, () => work(scope));
  } catch (error) {
    scope.fail(error instanceof Error ? error.name : 'Error');
    throw error;
  } finally {
    scope.end();
  }
}

/** The next stage of what is being done: the one before is over, and what follows is a part of this one. Gives it back. */
export function enterStage<Stage extends string>(stage: Stage): Stage {
  scopes.getStore()?.outer.enter(stage);
  return stage;
}

/** What follows is a part of this; null where nothing is known. */
export function currentTrace(): TraceIds | null {
  return scopes.getStore()?.ids ?? null;
}

/** What every line of the log says; see `createLogger`. */
export function currentLogFields(): LogFields {
  const scope = scopes.getStore();
  if (!scope) return {};
  const { traceId, spanId } = scope.ids;
  return { ...scope.fields, trace_id: traceId, span_id: spanId };
}
