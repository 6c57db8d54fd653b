import type { CloseCode } from '../../core/session.ts';

/** The frames of `lockwire/1` as values; `proto/tunnel.proto` gives their numbers, `docs/tunnel.md` their meaning. */

export type Role = 'connect' | 'expose';
export type Purpose = 'serve' | 'look';
export type Ingress = 'unix' | 'loopback' | 'proxy';

export interface Challenge {
  readonly type: 'challenge';
  readonly nonce: Uint8Array;
  readonly gatewayKey: Uint8Array;
  readonly signature: Uint8Array;
  /** Former keys with their signatures, oldest first; empty where the key was never changed. */
  readonly rotation: Uint8Array;
  /** The gateway process. */
  readonly instance: string;
}

export interface Hello {
  readonly type: 'hello';
  readonly nonce: Uint8Array;
  readonly role: Role;
  readonly target: string;
  /** Empty where the TLS client certificate is the credential. */
  readonly token: string;
  readonly instanceKey: Uint8Array;
  readonly signature: Uint8Array;
  readonly earlyWindow: number;
  readonly software: string;
  /** A one-time code, or ''. */
  readonly enrollment: string;
  /** `look`: the session is wanted for what its admission says, and takes no streams. */
  readonly purpose: Purpose;
}

export interface Welcome {
  readonly type: 'welcome';
  readonly signature: Uint8Array;
  readonly session: string;
  readonly sessionSecret: Uint8Array;
  readonly instance: string;
  readonly instances: number;
  readonly earlyWindow: number;
  readonly expiresAt: number;
  readonly patience: number;
  readonly principal: string;
}

export interface Open {
  readonly type: 'open';
  readonly target: string;
  readonly ingress: Ingress;
}

export interface Opened {
  readonly type: 'opened';
  readonly limit: number;
}

export interface Credit {
  readonly type: 'credit';
  readonly limit: number;
}

export interface End {
  readonly type: 'end';
}

export interface Verdict {
  readonly code: CloseCode;
  readonly text: string;
  readonly decision: string;
}

export interface Reset extends Verdict {
  readonly type: 'reset';
}

export interface Notice extends Verdict {
  readonly type: 'notice';
}

export interface GoAway extends Verdict {
  readonly type: 'goAway';
  readonly lastStream: number;
}

export interface Ping {
  readonly type: 'ping';
  readonly value: number;
}

export interface Pong {
  readonly type: 'pong';
  readonly value: number;
}

export interface Ack {
  readonly type: 'ack';
  readonly received: number;
}

export interface Resume {
  readonly type: 'resume';
  readonly session: string;
  readonly attempt: number;
  readonly received: number;
  readonly proof: Uint8Array;
}

export interface Resumed {
  readonly type: 'resumed';
  readonly outcome: 'resumed' | 'unknown';
  readonly received: number;
  readonly expiresAt: number;
}

export interface Renew {
  readonly type: 'renew';
  readonly token: string;
}

export interface Renewed {
  readonly type: 'renewed';
  readonly expiresAt: number;
}

/** How many gateway processes stand behind the address from now on. */
export interface Instances {
  readonly type: 'instances';
  readonly instances: number;
}

/** Every frame but data, whose payload never becomes part of an object. */
export type ControlFrame =
  | Challenge
  | Hello
  | Welcome
  | Open
  | Opened
  | Credit
  | End
  | Reset
  | Notice
  | Ping
  | Pong
  | GoAway
  | Ack
  | Resume
  | Resumed
  | Renew
  | Renewed
  | Instances;

export type FrameType = ControlFrame['type'];
