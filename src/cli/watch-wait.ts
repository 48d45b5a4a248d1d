/** Says why a build waits, while it is watched and does. */

import { WaitOfBuildDocument, type WaitOfBuildQuery } from '../client/generated.ts';
import type { BuildProgressEvent } from '../client/watch-build.ts';
import { oneLine } from './clean-text.ts';
import { formatTime } from './format.ts';
import type { View } from './plain-view.ts';
import type { Session } from './session.ts';

/** What is claimed at once is not worth a word. */
const FIRST_LOOK_MS = 2_000;
const LOOK_EVERY_MS = 5_000;

export interface WaitWatch extends Disposable {
  see(event: Pick<BuildProgressEvent, '__typename'>): void;
}

export function watchWait({ client, output }: Session, buildId: string, view: View): WaitWatch {
  let timer: NodeJS.Timeout | undefined;
  let said = '';
  const look = async () => {
    // What cannot be asked now is asked the next time: the watch itself says when the API is away.
    const { build } = await client.request(WaitOfBuildDocument, { id: buildId }).catch(() => ({ build: null }));
    if (timer === undefined || (build && build.status !== 'PENDING')) return;
    const text = build ? describeWait(build) : said;
    if (text !== said) view.tellWait(text);
    said = text;
    timer = setTimeout(look, LOOK_EVERY_MS);
  };
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  return {
    see({ __typename }) {
      stop();
      if (output.json || (__typename !== 'BuildQueued' && __typename !== 'BuildRetryScheduled')) return;
      timer = setTimeout(look, FIRST_LOOK_MS);
    },
    [Symbol.dispose]: stop,
  };
}

function describeWait(build: NonNullable<WaitOfBuildQuery['build']>): string {
  const { waitingReason, queuePosition, estimatedStartAt } = build;
  const place = queuePosition === null ? '' : ` It is number ${queuePosition} in the queue.`;
  const start = estimatedStartAt === null ? '' : ` It should start at ${formatTime(estimatedStartAt)}.`;
  return oneLine(`${waitingReason?.message ?? 'It waits.'}${place}${start}`, 500);
}
