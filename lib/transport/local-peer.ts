import { messageOf } from '../core/errors.ts';
import { type Endpoint, type SocketRow, scanSocketTables } from './socket-table.ts';

/** The two ends of a connection to a loopback port, as its listener sees them. */
export interface LoopbackPair {
  readonly peer: Endpoint;
  readonly own: Endpoint;
}

/** Whose the peer is; `unknown` where it has closed, or the table could not be read. */
export type PeerUser =
  | { readonly kind: 'user'; readonly uid: number }
  | { readonly kind: 'unknown'; readonly why: string };

/** The look at the system's sockets, as a test may replace it. */
export type ScanSockets = (take: (row: SocketRow) => boolean) => Promise<void>;

interface Question {
  readonly pair: LoopbackPair;
  readonly answer: (user: PeerUser) => void;
}

/**
 * Tells a loopback peer's user by its row in the system's table of sockets. One look at the table at a time answers all
 * that asked before it began: what it costs does not grow with those who knock. Nothing is remembered: a port is
 * another user's in the next moment.
 */
export class LocalPeers {
  readonly #scan: ScanSockets;
  #asked = new Map<string, Question[]>();
  #scanning = false;

  constructor(scan: ScanSockets = take => scanSocketTables(take)) {
    this.#scan = scan;
  }

  /** As many may wait as the listener has connections. */
  userOf(pair: LoopbackPair): Promise<PeerUser> {
    return new Promise(answer => {
      const key = keyOf(pair.peer, pair.own);
      const questions = this.#asked.get(key);
      if (questions) questions.push({ pair, answer });
      else this.#asked.set(key, [{ pair, answer }]);
      if (!this.#scanning) void this.#answerAll();
    });
  }

  async #answerAll(): Promise<void> {
    this.#scanning = true;
    while (this.#asked.size > 0) {
      const open = this.#asked;
      this.#asked = new Map();
      let why = 'it has closed already';
      try {
        await this.#scan(row => answerBy(row, open));
      } catch (error) {
        why = messageOf(error);
      }
      for (const questions of open.values()) {
        for (const { answer } of questions) answer({ kind: 'unknown', why });
      }
    }
    this.#scanning = false;
  }
}

/** True where nothing is left to ask. */
function answerBy(row: SocketRow, open: Map<string, Question[]>): boolean {
  // A socket that no process holds any more is shown as root's: its user cannot be known.
  if (row.inode === 0 || (row.state !== 'established' && row.state !== 'half-closed')) return false;
  const key = keyOf(row.local, row.remote);
  const questions = open.get(key);
  if (questions === undefined) return false;
  open.delete(key);
  for (const { answer } of questions) answer({ kind: 'user', uid: row.uid });
  return open.size === 0;
}

/** The peer's row is the one whose local end is the peer. */
function keyOf(local: Endpoint, remote: Endpoint): string {
  return `${local.address} ${local.port} ${remote.address} ${remote.port}`;
}
