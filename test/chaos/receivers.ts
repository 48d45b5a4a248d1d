/** Who is told of the ends of builds: receivers that are well, and some that only become so when the faults are over. */
import { createWriteStream } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { openReceiver } from '../callbacks/receiver.ts';
import { type Recorder, recordDelivery } from '../faults/history.ts';

type Manner = 'good' | 'failing' | 'hanging' | 'redirecting' | 'flooding' | 'late';

const MANNERS: readonly Manner[] = ['good', 'good', 'good', 'failing', 'hanging', 'redirecting', 'flooding', 'late'];
const FLOOD = Buffer.alloc(64 * 1024, 'x');
const LATE_MS = 1_500;

export interface Receivers {
  /** Of one receiver each; callbacks of a build go to one of them. */
  readonly urls: readonly string[];
  /** From now on all of them answer 200 at once. */
  recover(): void;
}

/** `secretOf` gives a project's `whsec_…`. Every body is appended to the file `log`, to be searched. */
export async function openReceivers(
  opened: AsyncDisposableStack,
  options: { readonly recorder: Recorder; readonly secretOf: (projectId: string) => string; readonly log: string },
): Promise<Receivers> {
  let recovered = false;
  const log = createWriteStream(options.log, { flags: 'a' });
  opened.defer(() => new Promise((done) => log.end(done)));
  const hanging = new Set<ServerResponse>();
  const urls: string[] = [];
  for (const manner of MANNERS) {
    const receiver = opened.use(
      await openReceiver({
        answer(response, { headers, body }) {
          const now = recovered ? 'good' : manner;
          log.write(`${JSON.stringify(headers)}\n${body}\n`);
          const accepted = now === 'good' || now === 'flooding' || now === 'late';
          recordDelivery(options.recorder, { headers, body, accepted, secretOf: options.secretOf });
          if (now === 'hanging') hanging.add(response.once('close', () => hanging.delete(response)));
          else answer(now, response);
        },
      }),
    );
    urls.push(receiver.url);
  }
  return {
    urls,
    recover() {
      recovered = true;
      for (const response of hanging) response.destroy();
    },
  };
}

function answer(manner: Exclude<Manner, 'hanging'>, response: ServerResponse): void {
  if (manner === 'failing') response.writeHead(500).end('not today');
  else if (manner === 'redirecting') response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end();
  else if (manner === 'flooding') flood(response);
  else if (manner === 'late') setTimeout(() => response.end('ok'), LATE_MS);
  else response.end('ok');
}

/** Answers for ever, as fast as the other side reads. */
function flood(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write(FLOOD));
  };
  response.on('drain', more);
  response.on('error', () => {});
  more();
}
