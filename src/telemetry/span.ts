/** What a trace is made of; `open-tracing.ts` sends it, and `NO_TRACING` does not. */
import { newTrace, type TraceIds } from './trace-ids.ts';

export type SpanValue = string | number | boolean;
/** Without those that are not known. */
export type SpanAttributes = Readonly<Record<string, SpanValue | null | undefined>>;

export interface SpanStart {
  /** One of few: what differs goes into the attributes. */
  readonly name: string;
  /** Null: it begins a trace. */
  readonly parent: TraceIds | null;
  readonly kind?: 'server' | 'client' | 'consumer';
  readonly attributes?: SpanAttributes;
  /** Now, if absent. */
  readonly startedAt?: Date;
  /** A span that others have named as their parent before it was there. */
  readonly spanId?: string;
}

export interface Span {
  /**
   * For what follows. A span that is sampled out has ids of its own, too; without tracing they are its parent's, or those of
   * a trace that nobody keeps.
   */
  readonly ids: TraceIds;
  set(attributes: SpanAttributes): void;
  /** It failed. `errorType` is a word that we have chosen, never a text of somebody else: those may hold secrets. */
  fail(errorType: string): void;
  end(at?: Date): void;
}

export interface Tracing extends AsyncDisposable {
  start(span: SpanStart): Span;
}

class UnkeptSpan implements Span {
  #ids: TraceIds | null;

  constructor(parent: TraceIds | null) {
    this.#ids = parent;
  }

  /** Made for the first who asks: most ask for none. */
  get ids(): TraceIds {
    this.#ids ??= newTrace();
    return this.#ids;
  }

  set(): void {}
  fail(): void {}
  end(): void {}
}

/** Nothing is kept; the ids go from hand to hand all the same. */
export const NO_TRACING: Tracing = {
  start: ({ parent }) => new UnkeptSpan(parent),
  async [Symbol.asyncDispose]() {},
};
