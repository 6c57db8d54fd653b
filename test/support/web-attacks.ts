import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openPage } from './web-browser.ts';

/** Names that an attacker owns and has pointed to loopback. */
const evilNames = ['evil.example', 'rebound.example'] as const;

/** Marks by which what the page sends is known again behind a port. */
export const marks = {
  rebound: 'rebound.example',
  body: 'evil-body',
  form: 'evil-form',
  socket: 'Sec-WebSocket-Key',
  preflight: 'Access-Control-Request-Method',
} as const;

/** What a page can have its browser do to a port of the machine. Runs in the browser, so it is text. */
const script = `
const preface = 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n';
const within = (ms, work) => Promise.race([
  work.then(() => 'answered', error => 'failed: ' + error),
  new Promise(resolve => setTimeout(resolve, ms, 'nothing came')),
]);
const form = port => new Promise(resolve => {
  const frame = document.createElement('iframe');
  frame.name = 'form-' + port;
  document.body.append(frame);
  const form = document.createElement('form');
  Object.assign(form, { method: 'POST', enctype: 'text/plain', target: frame.name, action: 'http://127.0.0.1:' + port + '/' });
  const field = document.createElement('textarea');
  Object.assign(field, { name: '${marks.form}', value: preface });
  form.append(field);
  document.body.append(form);
  frame.addEventListener('load', () => { if (frame.dataset.sent) resolve(); });
  frame.dataset.sent = 'yes';
  form.submit();
});
const socket = port => new Promise((resolve, reject) => {
  const socket = new WebSocket('ws://127.0.0.1:' + port + '/');
  socket.onopen = resolve;
  socket.onerror = () => reject('refused');
});
const attacks = {
  rebound: port => fetch('http://${marks.rebound}:' + port + '/agents', { mode: 'no-cors' }),
  body: port => fetch('http://127.0.0.1:' + port + '/', { method: 'POST', mode: 'no-cors', body: preface + '${marks.body}' }),
  preflight: port => fetch('http://127.0.0.1:' + port + '/agents.AgentRpc/OpenChannel', { method: 'POST', headers: { 'content-type': 'application/grpc' }, body: 'x' }),
  tls: port => fetch('https://127.0.0.1:' + port + '/', { mode: 'no-cors' }),
  form,
  socket,
};
const results = {};
for (const [name, attack] of Object.entries(attacks))
  for (const [which, port] of Object.entries(PORTS))
    results[name + ' ' + which] = await within(4000, attack(port));
await fetch('/done', { method: 'POST', body: JSON.stringify(results) });
`;

/** Has a browser open an attacker's page that goes for each of these ports; gives what became of each attempt. */
export async function attackFromPage(
  ports: Readonly<Record<string, number>>,
  patienceMs = 90_000,
): Promise<Readonly<Record<string, string>>> {
  const { promise: done, resolve, reject } = Promise.withResolvers<Readonly<Record<string, string>>>();
  const page = `<!doctype html><body><script type="module">${script.replace('PORTS', JSON.stringify(ports))}</script>`;
  const server: Server = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
      return;
    }
    let body = '';
    request.setEncoding('utf8').on('data', chunk => {
      body += chunk;
    });
    request.on('end', () => {
      response.end();
      resolve(JSON.parse(body) as Record<string, string>);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const browser = await openPage(`http://${evilNames[0]}:${port}/`, evilNames);
  const timer = setTimeout(() => reject(new Error(`the page did not end: ${browser.text()}`)), patienceMs);
  try {
    return await done;
  } finally {
    clearTimeout(timer);
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}
