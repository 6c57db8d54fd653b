import { maxTargetNameBytes, maxTokenBytes } from '../../core/limits.ts';
import { closeCodes } from '../../core/session.ts';
import type { FrameType } from './frames.ts';
import {
  keyBytes,
  maxControlBodyBytes,
  maxCredentialBodyBytes,
  maxIdBytes,
  maxRotationBytes,
  maxStreamId,
  maxTextBytes,
  signatureBytes,
} from './limits.ts';

/** The body of each control frame as a table: one codec reads and writes them all. Numbers as in `proto/tunnel.proto`. */

export type Field =
  | { readonly kind: 'uint'; readonly name: string; readonly max: number }
  | { readonly kind: 'string'; readonly name: string; readonly maxBytes: number }
  /** Exactly so many bytes. */
  | { readonly kind: 'bytes'; readonly name: string; readonly bytes: number }
  /** Up to so many bytes; absent where empty. */
  | { readonly kind: 'blob'; readonly name: string; readonly maxBytes: number }
  | { readonly kind: 'enum'; readonly name: string; readonly values: readonly (string | undefined)[] };

export interface Message {
  readonly type: FrameType;
  /** Field number of the body in the frame's oneof. */
  readonly number: number;
  readonly maxBytes: number;
  /** Sequenced frames count towards the offsets that Ack and Resume speak of. */
  readonly sequenced: boolean;
  /** Whether the frame speaks of one stream (its number is not 0) or of the session (it is 0). */
  readonly on: 'stream' | 'session';
  /** By field number, from 1. */
  readonly fields: readonly Field[];
}

const maxInteger = Number.MAX_SAFE_INTEGER;
const maxUint32 = 0xffffffff;

const uint = (name: string, max: number): Field => ({ kind: 'uint', name, max });
const text = (name: string, maxBytes: number): Field => ({ kind: 'string', name, maxBytes });
const bytes = (name: string, length: number): Field => ({ kind: 'bytes', name, bytes: length });
const blob = (name: string, maxBytes: number): Field => ({ kind: 'blob', name, maxBytes });
const verdict: readonly Field[] = [
  { kind: 'enum', name: 'code', values: closeCodes },
  text('text', maxTextBytes),
  text('decision', maxIdBytes),
];

type Kind = Pick<Message, 'sequenced' | 'on'> & Partial<Pick<Message, 'maxBytes'>>;
const unsequenced: Kind = { sequenced: false, on: 'session' };
const session: Kind = { sequenced: true, on: 'session' };
const stream: Kind = { sequenced: true, on: 'stream' };

function message(type: FrameType, number: number, kind: Kind, fields: readonly Field[]): Message {
  return { type, number, maxBytes: maxControlBodyBytes, ...kind, fields };
}

export const messages: readonly Message[] = [
  message('challenge', 2, unsequenced, [
    bytes('nonce', keyBytes),
    bytes('gatewayKey', keyBytes),
    bytes('signature', signatureBytes),
    blob('rotation', maxRotationBytes),
    text('instance', maxIdBytes),
  ]),
  message('hello', 3, { ...unsequenced, maxBytes: maxCredentialBodyBytes }, [
    bytes('nonce', keyBytes),
    { kind: 'enum', name: 'role', values: [undefined, 'connect', 'expose'] },
    text('target', maxTargetNameBytes),
    text('token', maxTokenBytes),
    bytes('instanceKey', keyBytes),
    bytes('signature', signatureBytes),
    uint('earlyWindow', maxUint32),
    text('software', maxIdBytes),
    text('enrollment', maxIdBytes),
    { kind: 'enum', name: 'purpose', values: ['serve', 'look'] },
  ]),
  message('welcome', 4, unsequenced, [
    bytes('signature', signatureBytes),
    text('session', maxIdBytes),
    bytes('sessionSecret', keyBytes),
    text('instance', maxIdBytes),
    uint('instances', maxUint32),
    uint('earlyWindow', maxUint32),
    uint('expiresAt', maxInteger),
    uint('patience', maxUint32),
    text('principal', maxTextBytes),
  ]),
  message('open', 5, stream, [
    text('target', maxTargetNameBytes),
    { kind: 'enum', name: 'ingress', values: [undefined, 'unix', 'loopback', 'proxy'] },
  ]),
  message('opened', 6, stream, [uint('limit', maxInteger)]),
  message('credit', 7, stream, [uint('limit', maxInteger)]),
  message('end', 8, stream, []),
  message('reset', 9, stream, verdict),
  message('notice', 10, session, verdict),
  message('ping', 11, unsequenced, [uint('value', maxInteger)]),
  message('pong', 12, unsequenced, [uint('value', maxInteger)]),
  message('goAway', 13, session, [...verdict, uint('lastStream', maxStreamId)]),
  message('ack', 14, unsequenced, [uint('received', maxInteger)]),
  message('resume', 16, unsequenced, [
    text('session', maxIdBytes),
    uint('attempt', maxUint32),
    uint('received', maxInteger),
    bytes('proof', keyBytes),
  ]),
  message('resumed', 17, unsequenced, [
    { kind: 'enum', name: 'outcome', values: ['resumed', 'unknown'] },
    uint('received', maxInteger),
    uint('expiresAt', maxInteger),
  ]),
  message('renew', 18, { ...session, maxBytes: maxCredentialBodyBytes }, [text('token', maxTokenBytes)]),
  message('renewed', 19, session, [uint('expiresAt', maxInteger)]),
  message('instances', 20, session, [uint('instances', maxUint32)]),
];

/** Field number of a data frame's payload. */
export const dataNumber: 15 = 15;

const byNumber: (Message | undefined)[] = [];
for (const entry of messages) byNumber[entry.number] = entry;
const byType = new Map(messages.map(entry => [entry.type, entry]));

export function messageByNumber(number: number): Message | undefined {
  return byNumber[number];
}

export function messageByType(type: FrameType): Message {
  const found = byType.get(type);
  if (found === undefined) throw new Error(`internal error: no message ${type}`);
  return found;
}
