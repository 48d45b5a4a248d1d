/** F29: whatever happens to the stream of an exec, it ends, in time, and says how. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { ExecError } from '../../../src/runtimes/kubernetes/exec-error.ts';
import { type KubeApi, openKubeApi } from '../../../src/runtimes/kubernetes/kube-api.ts';
import { execInPod, type PodCommand, streamFromPod } from '../../../src/runtimes/kubernetes/pod-exec.ts';
import { endExec, type FakeKubeApi, openFakeKubeApi, sayExec } from '../../support/fake-kube-api.ts';
import { waitFor } from '../../support/wait-for.ts';

let fake: FakeKubeApi;
let api: KubeApi;

beforeEach(async () => {
  fake = await openFakeKubeApi();
  api = await openKubeApi({ kubeconfig: fake.kubeconfig });
});

afterEach(async () => {
  await api[Symbol.asyncDispose]();
  await fake[Symbol.asyncDispose]();
});

const COMMAND: PodCommand = { pod: 'one', container: 'agent', argv: ['cat', 'a b&c'], deadlineMs: 10_000 };
const MIB = 1024 ** 2;
/** Half a MiB of unread output, and what was on its way. */
const MAX_HELD_MIB = 4;
const LOOK_EVERY_BYTES = 50_000_000;

function exec(options: Partial<PodCommand> & { readonly maxOutputBytes?: number } = {}) {
  return execInPod(api, { maxOutputBytes: MIB, ...COMMAND, ...options });
}

async function failureOf(call: Promise<unknown>): Promise<ExecError> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ExecError);
  return error as ExecError;
}

/** Breaks the connection without a word: the other end sees 1006. */
function reset(socket: WebSocket): void {
  socket.terminate();
}

describe('what a command says', () => {
  test.each([0, 3, 137])('comes with its exit code, %i', async (code) => {
    fake.exec = (socket) => {
      for (const channel of [0, 1, 2, 3]) sayExec(socket, channel, '');
      sayExec(socket, 1, 'out ');
      sayExec(socket, 2, 'err');
      sayExec(socket, 1, 'put');
      endExec(socket, code);
    };
    const result = await exec();
    expect({ ...result, stdout: result.stdout.toString() }).toEqual({
      ...{ exitCode: code, stdout: 'out put', stderr: 'err', truncated: false },
    });
    expect(fake.requests).toEqual([
      'GET /api/v1/namespaces/builds/pods/one/exec?container=agent&stdout=true&stderr=true&command=cat&command=a+b%26c',
    ]);
  });

  test('is cut where it is too much, of stderr only the end is kept', async () => {
    fake.exec = (socket) => {
      sayExec(socket, 2, 'begin');
      sayExec(socket, 2, 'x'.repeat(64 * 1024));
      sayExec(socket, 2, 'end');
      sayExec(socket, 1, '0123456789');
    };
    const result = await exec({ maxOutputBytes: 4 });
    expect({ ...result, stdout: result.stdout.toString() }).toEqual({
      ...{ exitCode: null, stdout: '0123', stderr: `${'x'.repeat(64 * 1024 - 3)}end`, truncated: true },
    });
  });

  test('its input arrives whole, in pieces of 64 KiB', async () => {
    const stdin = Buffer.alloc(MIB + 1, 'input ');
    const pieces: Buffer[] = [];
    let received = 0;
    fake.exec = (socket, request) => {
      expect(request.url).toContain('stdin=true');
      socket.on('message', (data: Buffer) => {
        expect(data[0]).toBe(0);
        pieces.push(data.subarray(1));
        received += data.length - 1;
        if (received === stdin.length) endExec(socket, 0);
      });
    };
    expect((await exec({ stdin })).exitCode).toBe(0);
    expect(Buffer.concat(pieces).equals(stdin)).toBe(true);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBe(64 * 1024);
  });
});

describe('an exec that does not come to an exit code', () => {
  test.each<[string, (socket: WebSocket) => void]>([
    ['is closed without a status', (socket) => socket.close(1000)],
    ['is closed with an error', (socket) => socket.close(1011, 'kubelet is going')],
    ['is cut', reset],
  ])('%s', async (_what, end) => {
    fake.exec = (socket) => {
      sayExec(socket, 1, 'some');
      socket.on('ping', () => end(socket));
    };
    const read: string[] = [];
    const stream = streamFromPod(api, { ...COMMAND, pingMs: 20 });
    const reading = (async () => {
      for await (const chunk of stream) read.push(chunk.toString());
    })();
    expect(await failureOf(reading)).toMatchObject({ kind: 'cut', retryable: true, started: true });
    expect(await failureOf(stream.exit)).toMatchObject({ kind: 'cut' });
    expect(read).toEqual(['some']);
  });

  test.each<[string, (socket: WebSocket) => void, RegExp]>([
    ['bad JSON as its status', (socket) => sayExec(socket, 3, '{"status": "Succ'), /not a Status.*Succ/],
    ['a status of no kind', (socket) => sayExec(socket, 3, '[]'), /not a Status/],
    ['an unknown channel', (socket) => sayExec(socket, 77, 'x'), /channel 77/],
    ['text', (socket) => socket.send('text'), /without a channel/],
    ['nothing in a message', (socket) => socket.send(Buffer.alloc(0)), /without a channel/],
    ['a message without bounds', (socket) => sayExec(socket, 1, Buffer.alloc(2 * MIB)), /Max payload/],
  ])('%s', async (_what, say, message) => {
    fake.exec = say;
    const error = await failureOf(exec());
    expect(error).toMatchObject({ kind: 'protocol', retryable: true, started: true });
    expect(error.message).toMatch(message);
  });

  test('an exit code that is not a number is not taken for one', async () => {
    fake.exec = (socket) => {
      const details = { causes: [null, { reason: 'ExitCode', message: '0x0' }] };
      const status = { status: 'Failure', reason: 'NonZeroExitCode', message: 'odd', details };
      sayExec(socket, 3, JSON.stringify(status));
    };
    expect(await failureOf(exec())).toMatchObject({ kind: 'refused', message: 'odd' });
  });

  test.each([
    ['OCI runtime exec failed: no such file', false],
    ['rpc error: code = Unavailable', true],
  ])('the container runtime says %j', async (message, retryable) => {
    fake.exec = (socket) => sayExec(socket, 3, JSON.stringify({ status: 'Failure', reason: 'InternalError', message }));
    expect(await failureOf(exec())).toMatchObject({ kind: 'refused', message, retryable });
  });

  test.each([
    [404, 'one', 'gone', false],
    [404, 'its-node', 'refused', true],
    [400, 'one', 'refused', false],
    [403, 'one', 'refused', false],
    [500, 'one', 'refused', true],
  ] as const)('is refused with HTTP %i about %s', async (status, about, kind, retryable) => {
    const body = JSON.stringify({
      kind: 'Status',
      message: 'pods "one" said no',
      details: { kind: 'pods', name: about },
    });
    fake.upgrade = (_request, socket) => {
      socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    };
    const error = await failureOf(exec());
    expect(error).toMatchObject({ kind, status, retryable, started: false, message: 'pods "one" said no' });
  });

  test('is refused by something that says nothing, or does not stop saying it', async () => {
    fake.upgrade = (_request, socket) => void socket.end('HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n');
    expect(await failureOf(exec())).toMatchObject({ kind: 'refused', message: 'The server answered HTTP 502.' });
    fake.upgrade = (_request, socket) => {
      socket.on('error', () => {});
      socket.write(`HTTP/1.1 500 Oops\r\n\r\n${'x'.repeat(MIB)}`);
    };
    expect((await failureOf(exec())).message).toHaveLength(2000);
    fake.upgrade = (_request, socket) => {
      socket.on('error', () => {});
      socket.write('HTTP/1.1 500 Oops\r\ncontent-length: 100\r\n\r\nand then');
    };
    expect(await failureOf(exec({ deadlineMs: 300 }))).toMatchObject({ kind: 'timeout' });
  });

  test('whose upgrade hangs is given up before its deadline', async () => {
    fake.upgrade = () => {};
    expect(await failureOf(exec({ handshakeMs: 100 }))).toMatchObject({ kind: 'timeout', started: false });
  });

  test('whose server is silent ends at its deadline', async () => {
    fake.exec = (socket) => socket.pause();
    const error = await failureOf(exec({ deadlineMs: 300, pingMs: 20, silenceMs: 100 }));
    expect(error).toMatchObject({ kind: 'timeout', retryable: true, started: true });
  });

  test('whose server has answered and falls silent ends long before it', async () => {
    fake.exec = (socket) => void socket.once('ping', () => setImmediate(() => socket.pause()));
    const error = await failureOf(exec({ pingMs: 20, silenceMs: 100 }));
    expect(error).toMatchObject({ kind: 'cut', message: expect.stringContaining('silent') });
  });

  test('a command that is slow to read its input is not taken for a silent server', async () => {
    fake.exec = (socket) => {
      // As a kubelet does that waits for the command to take its input: it does not come to the pings behind it.
      socket.pause();
      setTimeout(() => socket.resume(), 300);
      socket.once('message', () => endExec(socket, 0));
    };
    expect((await exec({ stdin: Buffer.from('x'), pingMs: 10, silenceMs: 50 })).exitCode).toBe(0);
  });

  test('is given up by its caller, before or after it has begun', async () => {
    const controller = new AbortController();
    fake.exec = () => controller.abort();
    expect(await failureOf(exec({ signal: controller.signal }))).toMatchObject({ kind: 'aborted', retryable: false });
    const requests = fake.requests.length;
    expect(await failureOf(exec({ signal: controller.signal }))).toMatchObject({ kind: 'aborted', started: false });
    expect(fake.requests).toHaveLength(requests);
  });

  test('is broken off by leaving the loop', async () => {
    let closed = false;
    fake.exec = (socket) => {
      socket.on('close', () => {
        closed = true;
      });
      sayExec(socket, 1, 'x');
    };
    let started = 0;
    const stream = streamFromPod(api, {
      ...COMMAND,
      onStart: () => {
        started += 1;
      },
    });
    for await (const _chunk of stream) break;
    expect(await failureOf(stream.exit)).toMatchObject({ kind: 'aborted' });
    await waitFor(() => closed, { what: 'the end of the connection' });
    expect(started).toBe(1);
  });

  test('of a server that is not there', async () => {
    await fake[Symbol.asyncDispose]();
    expect(await failureOf(exec())).toMatchObject({ kind: 'cut', retryable: true, started: false });
  });
});

test('300 MB for a slow reader stay where they are', async () => {
  const { grown, held, inNetwork } = await readSlowly(300_000_000);
  const figures = `${grown.toFixed(1)} MiB with what V8 has not thrown away yet, ${inNetwork.toFixed(1)} MiB in the network`;
  console.log(`300 MB: ${held.toFixed(1)} MiB held at most, of ${MAX_HELD_MIB} MiB; ${figures}`);
  expect(inNetwork).toBeLessThan(32);
  expect(held).toBeLessThan(MAX_HELD_MIB);
});

test('while output is held back the server is not asked anything: what it still holds would be lost', async () => {
  let pings = 0;
  let sent = 0;
  fake.exec = async (socket) => {
    socket.on('ping', () => {
      pings += 1;
    });
    while (sent < 20 * MIB) {
      await new Promise((resolve) => socket.send(Buffer.alloc(32 * 1024 + 1, 1), resolve));
      sent += 32 * 1024;
    }
    endExec(socket, 0);
  };
  let read = 0;
  for await (const chunk of streamFromPod(api, { ...COMMAND, pingMs: 20 })) {
    if (read === 0) {
      await standingStill(() => sent);
      const before = pings;
      await standingStill(() => sent);
      expect(pings).toBe(before);
    }
    read += chunk.length;
  }
  expect(read).toBe(20 * MIB);
});

/**
 * After the first chunk the reader stands still until the server does, too. MiB: `held` is the most that lives in this
 * process, looked at then and every 50 MB; `grown` is no bound, as it counts what V8 has not thrown away yet.
 */
async function readSlowly(total: number): Promise<{ grown: number; held: number; inNetwork: number }> {
  const piece = Buffer.alloc(32 * 1024 + 1, 1);
  let sent = 0;
  fake.exec = async (socket) => {
    while (sent < total && socket.readyState === socket.OPEN) {
      await new Promise((resolve) => socket.send(piece, resolve));
      sent += piece.length - 1;
    }
    endExec(socket, 0);
  };
  const alive = await livingBytes();
  const before = process.memoryUsage().rss;
  let peak = before;
  let held = 0;
  let lookAt = 0;
  let read = 0;
  let inNetwork = 0;
  const stream = streamFromPod(api, { ...COMMAND, deadlineMs: 60_000 });
  for await (const chunk of stream) {
    if (read === 0) inNetwork = await standingStill(() => sent);
    if (read >= lookAt) {
      lookAt = read + LOOK_EVERY_BYTES;
      held = Math.max(held, (await livingBytes()) - alive);
    }
    read += chunk.length;
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  expect((await stream.exit).exitCode).toBe(0);
  expect(read).toBe(sent);
  return { grown: (peak - before) / MIB, held: held / MIB, inNetwork: inNetwork / MIB };
}

async function livingBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What waits for the first collection to be let go is taken by the second.
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function standingStill(count: () => number): Promise<number> {
  let last = -1;
  const isStill = () => {
    const before = last;
    last = count();
    return last === before;
  };
  await waitFor(isStill, { everyMs: 100, what: 'a server that waits' });
  return last;
}
