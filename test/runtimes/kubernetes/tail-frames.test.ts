import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readFrames } from '../../../src/runtimes/kubernetes/tail-frames.ts';

const ended = { hasRun: true, exit: { kind: 'exited', code: 0 }, outputBytes: 1, oomKills: 0 };
const frame = fc.record({ stream: fc.constantFrom('stdout', 'stderr'), data: fc.uint8Array({ maxLength: 300 }) });

function* cutInto(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function* chunksOf(bytes: Buffer, sizes: readonly number[]) {
  yield* cutInto(bytes, sizes);
}

/** What each stream has brought, and the end. */
async function collect(bytes: Buffer, sizes: readonly number[] = []) {
  const got = { stdout: [] as Buffer[], stderr: [] as Buffer[], last: null as unknown };
  for await (const one of readFrames(chunksOf(bytes, sizes))) {
    if ('data' in one) got[one.stream].push(one.data);
    else got.last = one;
  }
  return { stdout: Buffer.concat(got.stdout), stderr: Buffer.concat(got.stderr), last: got.last };
}

test('every byte comes out of its stream, in order, however the bytes arrive', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(frame), fc.array(fc.integer({ min: 0, max: 50 })), async (frames, sizes) => {
      const parts = frames.flatMap(({ stream, data }) => [
        Buffer.from(`${JSON.stringify({ stream, bytes: data.length })}\n`),
        Buffer.from(data),
      ]);
      const bytes = Buffer.concat([...parts, Buffer.from(`${JSON.stringify({ ended })}\n`)]);
      const of = (name: string) =>
        Buffer.concat(frames.filter(({ stream }) => stream === name).map(({ data }) => Buffer.from(data)));
      expect(await collect(bytes, sizes)).toEqual({ stdout: of('stdout'), stderr: of('stderr'), last: { ended } });
    }),
  );
});

test('of a frame that breaks off there is what came, and what is no frame is refused', async () => {
  const half = Buffer.from('{"stream":"stdout","bytes":10}\nabc');
  expect(await collect(half)).toEqual({ stdout: Buffer.from('abc'), stderr: Buffer.alloc(0), last: null });
  await expect(collect(Buffer.from('x'.repeat(5_000)))).rejects.toThrow('no frame');
  await expect(collect(Buffer.from('x\n'))).rejects.toThrow(SyntaxError);
  const huge = Buffer.from(`{"stream":"stdout","bytes":${2 ** 40}}\n`);
  await expect(collect(huge)).rejects.toThrow('too large');
});

test.each([
  '{"stream":"stdout","bytes":-31}',
  '{"stream":"stdout"}',
  '{"stream":"stdout","bytes":"1"}',
  '{"stream":"__proto__","bytes":1}',
  'null',
  '7',
  '{"ended":null}',
  '{"ended":{"hasRun":true,"exit":{"kind":"exited","code":"0"},"outputBytes":1,"oomKills":0}}',
  '{"ended":{"hasRun":true,"exit":null,"outputBytes":1e999,"oomKills":0}}',
])('what an agent has put between them is refused: %s', async (line) => {
  let frames = 0;
  const reading = (async () => {
    for await (const _frame of readFrames(chunksOf(Buffer.from(`${line}\n`), []))) {
      frames += 1;
      if (frames > 3) throw new Error('a frame that never ends');
    }
  })();
  await expect(reading).rejects.toThrow('The pod');
});

test('what is read is the last for now when neither its chunk nor another one has more', async () => {
  const chunks = ['one', 'two', 'three'].map((text) =>
    Buffer.from(`${JSON.stringify({ stream: 'stdout', bytes: text.length })}\n${text}`),
  );
  const [one, two, three] = chunks as [Buffer, Buffer, Buffer];
  const waiting = [Buffer.concat([one, two]), three];
  async function* given() {
    for (let next = waiting.shift(); next; next = waiting.shift()) yield next;
  }
  const frames = await Array.fromAsync(readFrames(given(), () => waiting.length > 0));
  expect(frames.map((frame) => 'data' in frame && [frame.data.toString(), frame.isLast])).toEqual([
    ['one', false],
    ['two', false],
    ['three', true],
  ]);
});
