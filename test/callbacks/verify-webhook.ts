/** What a bot does, in a process of its own: reads { secret, headers, body } and prints the payload it may trust. */
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

interface Delivered {
  readonly secret: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

const { secret, headers, body } = JSON.parse(await text(process.stdin)) as Delivered;
process.stdout.write(JSON.stringify(new Webhook(secret).verify(body, headers)));
