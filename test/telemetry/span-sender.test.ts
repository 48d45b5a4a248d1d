import { pino } from 'pino';
import { expect, test } from 'vitest';
import { SpanSender } from '../../src/telemetry/span-sender.ts';
import { waitFor } from '../support/wait-for.ts';
import { openCollector } from './collector.ts';

const BATCH = new TextEncoder().encode('{"resourceSpans":[]}');

function openSender(url: string) {
  const said: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line) => void said.push(JSON.parse(line).problem) });
  return { sender: new SpanSender({ url, headers: { 'content-type': 'application/json' }, logger }), said };
}

test('an outage is said once, and the next one again', async () => {
  await using collector = await openCollector(401);
  const { sender, said } = openSender(collector.url);
  using _closed = sender;
  for (const mode of [401, 401, 200, 404, 404] as const) {
    collector.mode = mode;
    await sender.send(BATCH);
  }
  expect(said).toEqual(['status 401', 'status 404']);
  expect(collector.requests).toHaveLength(5);
});

test('what a busy collector does not take is sent again, three times at most', async () => {
  await using collector = await openCollector(503);
  const { sender, said } = openSender(collector.url);
  using _closed = sender;
  await sender.send(BATCH);
  expect(collector.requests).toHaveLength(3);
  expect(said).toEqual(['busy: 503']);
});

test('a connection is used again, unless the collector answers far too much', async () => {
  await using collector = await openCollector();
  const { sender, said } = openSender(collector.url);
  using _closed = sender;
  collector.body = Buffer.alloc(60_000);
  for (let batch = 0; batch < 3; batch += 1) {
    await sender.send(BATCH);
    // The connection is free a moment after the end of the answer.
    await new Promise(setImmediate);
  }
  expect(collector.connections()).toBe(1);
  collector.body = Buffer.alloc(32 * 1024 * 1024);
  await sender.send(BATCH);
  await waitFor(() => collector.requests.at(-1)?.isCut, { what: 'the end of the connection' });
  expect(said).toEqual([]);
});

test('closing cuts what is on its way, and nothing is sent after it', async () => {
  await using collector = await openCollector('hang');
  const { sender } = openSender(collector.url);
  const sending = sender.send(BATCH);
  while (collector.requests.length === 0) await new Promise(setImmediate);
  sender[Symbol.dispose]();
  await sending;
  await sender.send(BATCH);
  expect(collector.requests).toHaveLength(1);
});
