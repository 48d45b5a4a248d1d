/**
 * `opencode-losing.mjs PROGRAM WORD serve …`: OpenCode, whose stream of events is lost at the first event that has WORD in
 * it, and with that event.
 */
import { spawn } from 'node:child_process';
import { createServer, request } from 'node:http';
import { createInterface } from 'node:readline';

const [program, word, ...args] = process.argv.slice(2);
let isLost = false;

const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
server.on('exit', (code) => process.exit(code ?? 1));
createInterface({ input: server.stdout }).on('line', (line) => {
  const url = /listening on (http:\/\/\S+)/.exec(line)?.[1];
  if (url) listen(new URL(url));
});

function listen({ hostname, port }) {
  const proxy = createServer((asked, answer) => {
    const { method, headers, url: path } = asked;
    const passed = request({ hostname, port, method, headers, path }, (answered) => {
      answer.writeHead(answered.statusCode ?? 500, answered.headers);
      answered.on('data', (chunk) => {
        if (!isLost && path.startsWith('/event') && chunk.includes(word)) {
          isLost = true;
          answer.destroy();
          passed.destroy();
        } else answer.write(chunk);
      });
      answered.on('end', () => answer.end());
      answered.on('error', () => answer.destroy());
    });
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
  });
  proxy.listen(0, '127.0.0.1', () => {
    process.stdout.write(`opencode server listening on http://127.0.0.1:${proxy.address().port}\n`);
  });
}
