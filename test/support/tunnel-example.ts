// The worked example of docs/tunnel.md, made by the codec. Run it to print what belongs there.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import type { InstanceKey } from '../../lib/core/ports.ts';
import { type Bound, challengeMessage, helloMessage, welcomeMessage } from '../../lib/tunnel/proof.ts';
import type { ControlFrame } from '../../lib/wire/tunnel/frames.ts';
import { messageByType } from '../../lib/wire/tunnel/messages.ts';
import { encodeItem, type Item } from './tunnel-frames.ts';

/** So many bytes that count up from `first`. */
function counting(first: number, bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, index) => first + index));
}

/** PrivateKeyInfo of an Ed25519 key is this prefix and the 32 bytes of its seed (RFC 8410 section 7). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

function keyOf(seedByte: number): InstanceKey {
  const der = Buffer.concat([pkcs8Prefix, Buffer.alloc(32, seedByte)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { publicKey, sign: message => sign(null, message, key) };
}

type Line = { readonly from: '▶' | '◀' } & Item;

function lines(): Line[] {
  const gateway = keyOf(1);
  const dialler = keyOf(2);
  const exporter = counting(0xa0, 32);
  const gatewayNonce = counting(0, 32);
  const clientNonce = counting(0x20, 32);
  const bound: Bound = { exporter, role: 'connect', gatewayNonce, clientNonce };
  const control = (from: '▶' | '◀', stream: number, frame: ControlFrame): Line => ({ from, stream, frame });
  return [
    control('◀', 0, {
      type: 'challenge',
      nonce: gatewayNonce,
      gatewayKey: gateway.publicKey,
      signature: gateway.sign(challengeMessage(exporter, gatewayNonce)),
      rotation: new Uint8Array(0),
      instance: 'g1',
    }),
    control('▶', 0, {
      type: 'hello',
      nonce: clientNonce,
      role: 'connect',
      target: '',
      token: 'a.b.c',
      instanceKey: dialler.publicKey,
      signature: dialler.sign(helloMessage(bound)),
      earlyWindow: 16_384,
      software: 'example',
      enrollment: '',
      purpose: 'serve',
    }),
    control('◀', 0, {
      type: 'welcome',
      signature: gateway.sign(welcomeMessage(bound)),
      session: 's1',
      sessionSecret: counting(0x40, 32),
      instance: 'g1',
      instances: 1,
      earlyWindow: 16_384,
      expiresAt: 1_800_000_000_000,
      patience: 60_000,
      principal: 'User::corp|alice',
    }),
    control('▶', 1, { type: 'open', target: 'autogen', ingress: 'loopback' }),
    { from: '▶', stream: 1, data: Buffer.from('ping') },
    control('▶', 1, { type: 'end' }),
    control('◀', 1, { type: 'opened', limit: 65_536 }),
    control('▶', 1, { type: 'credit', limit: 65_536 }),
    { from: '◀', stream: 1, data: Buffer.from('pong') },
    control('◀', 1, { type: 'end' }),
    control('▶', 0, { type: 'ack', received: 23 }),
    control('◀', 0, { type: 'ack', received: 39 }),
    control('▶', 0, { type: 'goAway', code: 'done', text: '', decision: '', lastStream: 0 }),
  ];
}

function show(line: Line, offset: number): string {
  const bytes = encodeItem(line);
  const name = 'data' in line ? `data ${JSON.stringify(line.data.toString())}` : line.frame.type;
  const at = sequenced(line) ? `, ${offset} → ${offset + bytes.byteLength}` : '';
  const stream = line.stream === 0 ? '' : ` on stream ${line.stream}`;
  const hex = bytes.toString('hex').replaceAll(/(..)(?!$)/g, '$1 ');
  const wrapped = hex.match(/.{1,96}/g) ?? [];
  return [
    `${line.from} ${name}${stream}, ${bytes.byteLength} B${at}`,
    ...wrapped.map(row => `    ${row.trim()}`),
  ].join('\n');
}

function sequenced(line: Line): boolean {
  return 'data' in line || messageByType(line.frame.type).sequenced;
}

/** All bytes of one direction, as a decoder may be fed. */
export function exampleBytes(from: '▶' | '◀'): Buffer {
  return Buffer.concat(
    lines()
      .filter(line => line.from === from)
      .map(encodeItem),
  );
}

export function example(): string {
  const offsets = { '▶': 0, '◀': 0 };
  const shown = lines().map(line => {
    const text = show(line, offsets[line.from]);
    if (sequenced(line)) offsets[line.from] += encodeItem(line).byteLength;
    return text;
  });
  return `\`\`\`\n${shown.join('\n')}\n\`\`\``;
}

if (import.meta.main) process.stdout.write(`${example()}\n`);
