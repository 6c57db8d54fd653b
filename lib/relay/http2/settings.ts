import { SettingId } from '../../wire/http2/frames.ts';
import type { Http2Limits } from './options.ts';

/** What we announce (RFC 9113 section 6.5.2), as pairs of id and value. */
export function ownSettings(role: 'server' | 'client', limits: Http2Limits): [number, number][] {
  const { headers, frames, streamWindowBytes, maxConcurrentStreams } = limits;
  return [
    [SettingId.headerTableSize, headers.maxTableBytes],
    role === 'client' ? [SettingId.enablePush, 0] : [SettingId.maxConcurrentStreams, maxConcurrentStreams],
    [SettingId.initialWindowSize, streamWindowBytes],
    [SettingId.maxFrameSize, frames.maxFrameBytes],
    [SettingId.maxHeaderListSize, headers.maxListBytes],
  ];
}

/** Streams that we count on until the peer has said its own (RFC 9113 section 6.5.2 recommends no fewer than 100). */
const firstMaxConcurrentStreams = 100;

/** What the peer announced; a value that it left out has the protocol's default. */
export class PeerSettings {
  initialWindowBytes = 65_535;
  maxConcurrentStreams: number = firstMaxConcurrentStreams;
  /** The first SETTINGS frame came: what it left out is now known to be the default. */
  known = false;

  #limited = false;

  /** A frame is whole; a limit that the first one does not name does not exist. */
  arrived(): void {
    if (this.known) return;
    this.known = true;
    if (!this.#limited) this.maxConcurrentStreams = Number.POSITIVE_INFINITY;
  }

  limitStreams(value: number): void {
    this.#limited = true;
    this.maxConcurrentStreams = value;
  }
}
