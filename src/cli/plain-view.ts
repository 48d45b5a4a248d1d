/** The progress of a build as one line per event, and what waits for an answer: for pipes, logs and NO_COLOR. */
import type { BuildProgressEvent } from '../client/watch-build.ts';
import { describeEvent } from './describe-event.ts';
import { explainQuestion } from './describe-question.ts';
import type { Output } from './output.ts';

export interface View {
  show(event: BuildProgressEvent): Promise<void>;
  /** Says why the build waits. */
  tellWait(text: string): void;
  /** Leaves the terminal in order. May be called twice. */
  end(): Promise<void>;
}

export type AskedEvent = Extract<BuildProgressEvent, { readonly __typename: 'BuildQuestionAsked' }>;

/** Is it a question that still waits? What is told again of a build's past may be answered by now. */
export function isOpen(event: BuildProgressEvent): event is AskedEvent {
  return event.__typename === 'BuildQuestionAsked' && event.question.state === 'OPEN';
}

export function createPlainView(output: Pick<Output, 'line'>): View {
  return {
    async show(event) {
      const time = new Date(event.at).toTimeString().slice(0, 8);
      output.line(`${time}  ${event.cursor.padStart(4)}  ${describeEvent(event)}`);
      if (!isOpen(event)) return;
      for (const line of explainQuestion(event.question)) output.line(`${' '.repeat(16)}${line}`);
    },
    tellWait: (text) => output.line(`${' '.repeat(16)}${text}`),
    end: async () => {},
  };
}

/** One JSON object per event. */
export function createJsonView(output: Pick<Output, 'record'>, buildId: string): View {
  return {
    show: async ({ __typename, ...event }) => output.record({ buildId, ...event }),
    tellWait: () => {},
    end: async () => {},
  };
}
