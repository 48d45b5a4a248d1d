/** One watch request: a line of JSON for each event, until the server ends it or something breaks. */
import { createLineSplitter } from '../../std/line-splitter.ts';
import type { KubeApi } from './kube-api.ts';
import { cutMessage, KubeError, parseObject } from './kube-error.ts';
import { messageOf } from './kube-request.ts';
import { type PodView, viewOfPod } from './pod-view.ts';

export interface WatchStreamOptions {
  readonly api: KubeApi;
  readonly labelSelector: string;
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
  readonly headersMs: number;
  /** A stream that says nothing for so long is broken; servers send a bookmark every minute or so. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
  /** `pod` is null for a bookmark. */
  onEvent(event: { readonly pod: PodView | null; readonly deleted: boolean; readonly resourceVersion: string }): void;
}

/** Etcd stores no object of more than 1.5 MiB. */
const MAX_EVENT_BYTES = 4 * 1024 ** 2;

/**
 * Resolves when the server has ended the stream, as it does after `timeoutSeconds`; the next one goes on from the last
 * version that was told. Rejects with a KubeError: with the status 410 when that version is too old.
 */
export async function readWatchStream(options: WatchStreamOptions): Promise<void> {
  const { silenceMs, signal } = options;
  const stream = await options.api.watchPods(options);
  let silent = false;
  const onSilence = () => {
    silent = true;
    stream.destroy();
  };
  const onAbort = () => stream.destroy();
  let timer = setTimeout(onSilence, silenceMs);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const lines = createLineSplitter(MAX_EVENT_BYTES);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      clearTimeout(timer);
      timer = setTimeout(onSilence, silenceMs);
      for (const line of lines.push(chunk)) if (line.text !== '') takeEvent(line.text, options);
    }
  } catch (error) {
    if (error instanceof KubeError) throw error;
    const message = silent ? `it said nothing for ${silenceMs / 1000} s` : messageOf(error);
    throw broken(`The watch of pods broke: ${message}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}

function takeEvent(line: string, options: WatchStreamOptions): void {
  const event = parseObject(line);
  const type = event?.type;
  const object = event?.object as
    | { metadata?: { resourceVersion?: string }; code?: number; reason?: string; message?: string }
    | undefined;
  if (type === 'ERROR') {
    throw new KubeError({
      status: object?.code ?? null,
      reason: object?.reason ?? 'Unusable',
      message: object?.message ?? 'The watch of pods failed without a message.',
      retryable: true,
    });
  }
  const resourceVersion = object?.metadata?.resourceVersion;
  const pod = type === 'BOOKMARK' ? null : viewOfPod(object);
  const isKnown = type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK';
  if (!isKnown || typeof resourceVersion !== 'string' || (type !== 'BOOKMARK' && pod === null)) {
    throw broken(`The watch of pods told something that is no event: ${cutMessage(line)}`);
  }
  options.onEvent({ pod, deleted: type === 'DELETED', resourceVersion });
}

function broken(message: string): KubeError {
  return new KubeError({ status: null, reason: 'Unreachable', message, retryable: true });
}
