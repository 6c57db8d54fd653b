import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What the other user's program saw: the answer, or how the connection ended. */
export interface Said {
  readonly text: string;
  readonly ending: string;
}

const script = `
  const [port, text] = process.argv.slice(1);
  const socket = require('node:net').connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
  let said = '';
  let ending = 'closed';
  socket.on('connect', () => socket.end(Buffer.from(text, 'base64')));
  socket.on('data', chunk => { said += chunk; });
  socket.on('end', () => { ending = 'end'; });
  socket.on('error', error => { ending = error.code; });
  socket.on('close', () => console.log(JSON.stringify({ uid: process.getuid(), text: said, ending })));
`;

/** The number of `nobody`; undefined where there is none, or we are not root and cannot become another. */
export function otherUser(): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const uid = /^nobody:[^:]*:(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[1];
  return uid === undefined ? undefined : Number(uid);
}

/** Sends a text to a loopback port from a process of another user, half-closes, and gives what came back. */
export async function sayAs(uid: number, address: string, text: string): Promise<Said> {
  const port = address.split(':').at(-1) ?? '';
  const args = ['-e', script, port, Buffer.from(text).toString('base64')];
  const child = spawn(process.execPath, args, {
    uid,
    gid: uid,
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', chunk => {
    out += chunk;
  });
  await new Promise(resolve => child.once('close', resolve));
  const said = JSON.parse(out) as Said & { uid: number };
  if (said.uid !== uid) throw new Error(`ran as user ${said.uid}, wanted ${uid}`);
  return { text: said.text, ending: said.ending };
}
