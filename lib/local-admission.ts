import type { Clock } from './core/clock.ts';
import type { Log } from './core/ports.ts';
import { TokenBucket } from './core/token-bucket.ts';
import type { LocalPeer } from './transport/local.ts';
import { LocalPeers } from './transport/local-peer.ts';
import { socketTablesReadable } from './transport/socket-table.ts';

/** Lines about refused peers: another user's program may knock as often as it likes. */
const linesPerSecond = 0.2;
const linesBurst = 10;

export interface AdmissionPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly peers?: LocalPeers;
}

/**
 * Who may use `connect`'s TCP port: whoever connects there speaks with its credential, so its own user and those that
 * are named. Root is no exception: it needs none of this, and its programs are to be named as well. A unix socket is
 * 0600, the system sees to that.
 */
export class LocalAdmission {
  readonly #users: ReadonlySet<number> | undefined;
  readonly #ports: AdmissionPorts;
  readonly #peers: LocalPeers;
  readonly #lines: TokenBucket;

  /** `users` undefined where this system does not tell whose a connection is: then all are admitted. */
  constructor(users: ReadonlySet<number> | undefined, ports: AdmissionPorts) {
    this.#users = users;
    this.#ports = ports;
    this.#peers = ports.peers ?? new LocalPeers();
    this.#lines = new TokenBucket(linesPerSecond, linesBurst, ports.clock.monotonic());
  }

  /** Never throws; what cannot be told of one connection is a refusal. */
  async admits({ ingress, peer, own }: LocalPeer): Promise<boolean> {
    if (ingress === 'unix' || this.#users === undefined) return true;
    // A socket without addresses has been reset already.
    if (peer === undefined || own === undefined) return false;
    const user = await this.#peers.userOf({ peer, own });
    if (user.kind === 'user' && this.#users.has(user.uid)) return true;
    if (!this.#lines.take(this.#ports.clock.monotonic())) return false;
    if (user.kind === 'user') {
      this.#ports.log.warn(
        { uid: user.uid, peerPort: peer.port },
        'local connection of another user refused; --allow-user admits one',
      );
    } else {
      this.#ports.log.warn(
        { peerPort: peer.port, detail: user.why },
        'local connection refused: its user cannot be told',
      );
    }
    return false;
  }
}

/** The users that are let in: ours and those named; undefined, and said once, where the system does not tell whose a peer is. */
export async function admittedUsers(
  allowed: readonly number[],
  log: Log,
): Promise<ReadonlySet<number> | undefined> {
  const own = process.getuid?.();
  if (own !== undefined && (await socketTablesReadable())) return new Set([own, ...allowed]);
  log.warn(
    {},
    'this system does not tell whose a local connection is: every user of this machine may use the port; listen on unix:PATH instead',
  );
  return undefined;
}
