/**
 * Answers like `opencode serve` for one turn of a session. Its first argument says what comes between its events: `garbage`,
 * `unknown` or `huge`.
 */
import { createServer } from 'node:http';

const [intrusion] = process.argv.slice(2);
const sessionID = 'ses_1';
const info = { id: 'msg_2', sessionID, role: 'assistant', finish: 'stop', time: { created: 1, completed: 2 } };
const text = {
  id: 'prt_9',
  sessionID,
  messageID: info.id,
  type: 'text',
  text: 'Done: nothing.',
  time: { start: 1, end: 2 },
};
/** More than one line of ours may have. */
const HUGE = { ...text, id: 'prt_1', text: 'x'.repeat(17 * 1024 * 1024) };

const INTRUSIONS = {
  garbage: ['data: this is no JSON', 'data: [1,2]', 'data: {"half":', 'nonsense', 'data:', 'data: {}'],
  unknown: [data({ type: 'telepathy', properties: { sessionID, thought: 'x' } })],
  huge: [data({ type: 'message.part.updated', properties: { part: HUGE } })],
};

function data(event) {
  return `data: ${JSON.stringify(event)}`;
}

let stream = null;

function tell(event) {
  stream.write(`${data(event)}\n\n`);
}

function prompted() {
  for (const line of INTRUSIONS[intrusion]) stream.write(`${line}\n\n`);
  tell({ type: 'message.part.updated', properties: { part: text } });
  tell({ type: 'message.updated', properties: { info } });
  tell({ type: 'session.idle', properties: { sessionID } });
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://x');
  request.resume();
  if (pathname === '/event') {
    stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
    tell({ type: 'server.connected', properties: {} });
  } else if (pathname.endsWith('/prompt_async')) {
    response.writeHead(204).end();
    prompted();
  } else if (pathname.endsWith('/message')) {
    response.end(JSON.stringify(stream && intrusion ? [{ info, parts: [text] }] : []));
  } else {
    response.end(JSON.stringify({ id: sessionID, version: '0.0', directory: process.cwd() }));
  }
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`);
});
