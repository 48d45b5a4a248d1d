/** The progress of a build as one line per event: for pipes, logs and NO_COLOR. */
import type { BuildProgressEvent } from '../client/watch-build.ts';
import { describeEvent } from './describe-event.ts';
import type { Output } from './output.ts';

export interface View {
  show(event: BuildProgressEvent): Promise<void>;
  /** Leaves the terminal in order. May be called twice. */
  end(): Promise<void>;
}

export function createPlainView(output: Pick<Output, 'line'>): View {
  return {
    async show(event) {
      const time = new Date(event.at).toTimeString().slice(0, 8);
      output.line(`${time}  ${event.cursor.padStart(4)}  ${describeEvent(event)}`);
    },
    end: async () => {},
  };
}

/** One JSON object per event. */
export function createJsonView(output: Pick<Output, 'record'>, buildId: string): View {
  return {
    show: async ({ __typename, ...event }) => output.record({ buildId, ...event }),
    end: async () => {},
  };
}
