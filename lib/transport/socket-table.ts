import { open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { LockwireError } from '../core/errors.ts';

/** One TCP socket of this machine, as a row of `/proc/net/tcp` or `/proc/net/tcp6` tells it. */
export interface SocketRow {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly state: SocketState;
  readonly uid: number;
  /** 0 where no process holds the socket any more; its `uid` then says nothing: Linux shows root's. */
  readonly inode: number;
}

export interface Endpoint {
  /** IPv4 addresses as such, also where an IPv6 socket holds them (RFC 4291 section 2.5.5.2). */
  readonly address: string;
  readonly port: number;
}

export type SocketState = 'established' | 'half-closed' | 'listening' | 'other';

/** Linux, `include/net/tcp_states.h`. */
const states: Readonly<Record<string, SocketState>> = {
  '01': 'established',
  // FIN_WAIT1, FIN_WAIT2: it has said all it will and still reads; with inode 0 it is an orphan.
  '04': 'half-closed',
  '05': 'half-closed',
  '08': 'half-closed',
  '0A': 'listening',
};

/**
 * sl, local, remote, st, queues, timer, retransmits, uid, timeout, inode: `Documentation/networking/proc_net_tcp.rst`.
 */
const row =
  /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:[0-9A-F]+ [0-9A-F]+\s+(\d+)\s+\d+ (\d+)(?:\s|$)/;

const little = endianness() === 'LE';

/** Undefined for what is no row: the heading, or what a later Linux may add. */
export function parseSocketRow(line: string, littleEndian: boolean = little): SocketRow | undefined {
  const [, localAddress, localPort, remoteAddress, remotePort, state, uid, inode] = row.exec(line) ?? [];
  if (localAddress === undefined || remoteAddress === undefined || state === undefined) return undefined;
  return {
    local: endpoint(localAddress, localPort, littleEndian),
    remote: endpoint(remoteAddress, remotePort, littleEndian),
    state: states[state] ?? 'other',
    uid: Number(uid),
    inode: Number(inode),
  };
}

function endpoint(hex: string, port = '', littleEndian: boolean): Endpoint {
  return { address: formatHex(hex, littleEndian), port: Number.parseInt(port, 16) };
}

/** The kernel prints each 32-bit word as a number, so on a little-endian machine its bytes are turned round. */
function formatHex(hex: string, littleEndian: boolean): string {
  const bytes: number[] = [];
  for (let i = 0; i < hex.length; i += 8) {
    const word = Buffer.from(hex.slice(i, i + 8), 'hex');
    bytes.push(...(littleEndian ? word.reverse() : word));
  }
  if (bytes.length === 4) return bytes.join('.');
  const mapped = bytes.slice(0, 10).every(byte => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return bytes.slice(12).join('.');
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16));
  return shorten(groups);
}

/** The longest run of zero groups as `::` (RFC 5952 section 4.2), so that texts can be compared with Node's. */
function shorten(groups: readonly string[]): string {
  const full = groups.join(':');
  const runs = [...full.matchAll(/(?:^|:)(?:0(?::|$)){2,}/g)].map(([run]) => run);
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  return longest === '' ? full : full.replace(longest, '::');
}

/** A table is read in steps of this size and at most so far: some 400,000 sockets. */
const stepBytes = 65_536;
const maxTableBytes = 64 * 1024 * 1024;

const socketTables: readonly string[] = ['/proc/net/tcp', '/proc/net/tcp6'];

/**
 * Calls `take` with each row of the tables, until it returns true. A table that is absent (no IPv6) is passed over;
 * throws `unavailable` where none can be read, or one is larger than the bound.
 */
export async function scanSocketTables(
  take: (row: SocketRow) => boolean,
  tables: readonly string[] = socketTables,
): Promise<void> {
  let failure: unknown;
  let read = 0;
  for (const table of tables) {
    const file = await open(table, 'r').catch((error: unknown) => {
      failure = error;
    });
    if (file === undefined) continue;
    read += 1;
    try {
      if (await scan(file, table, take)) return;
    } finally {
      await file.close();
    }
  }
  if (read > 0) return;
  throw new LockwireError('unavailable', "the system's table of sockets cannot be read", { cause: failure });
}

/** False where there is no such table: another system than Linux, or no /proc. */
export async function socketTablesReadable(tables: readonly string[] = socketTables): Promise<boolean> {
  for (const table of tables) {
    const file = await open(table, 'r').catch(() => undefined);
    if (file === undefined) continue;
    await file.close();
    return true;
  }
  return false;
}

async function scan(
  file: Awaited<ReturnType<typeof open>>,
  table: string,
  take: (row: SocketRow) => boolean,
): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(stepBytes);
  let rest = '';
  let total = 0;
  for (;;) {
    // No position: the kernel goes on where it stopped, at a row's end.
    const { bytesRead } = await file.read(buffer, 0, stepBytes, null);
    if (bytesRead === 0) return rest !== '' && takeLine(rest, take);
    total += bytesRead;
    if (total > maxTableBytes) {
      throw new LockwireError('limit', `${table} has more than ${maxTableBytes} B`);
    }
    const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (takeLine(line, take)) return true;
  }
}

function takeLine(line: string, take: (row: SocketRow) => boolean): boolean {
  const parsed = parseSocketRow(line);
  return parsed !== undefined && take(parsed);
}
