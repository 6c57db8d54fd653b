/** The numbers of HTTP/2 framing (RFC 9113), as they stand on the wire. */

/** What a client sends first (section 3.4): its SETTINGS follow. 24 bytes. */
export const preface: Uint8Array = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Length (3), type (1), flags (1), stream (4): section 4.1. */
export const frameHeaderBytes: 9 = 9;
/** Section 5.1.1: 31 bits. */
export const maxStreamId: 0x7fffffff = 0x7fffffff;
/** Section 6.9.1: a window may never pass this. */
export const maxWindowBytes: 0x7fffffff = 0x7fffffff;
/** Section 4.2: what everyone must be able to receive, and the most that anyone may announce. */
export const minMaxFrameBytes: 16_384 = 16_384;
export const maxMaxFrameBytes: 16_777_215 = 16_777_215;

/** Section 6. */
export const FrameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

/** `ack` is of SETTINGS and PING, `endStream` of DATA and HEADERS: the same bit. */
export const Flag = {
  ack: 0x1,
  endStream: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

/** Section 6.5.2; `enableConnectProtocol` is RFC 8441's, `noRfc7540Priorities` RFC 9218's. */
export const SettingId = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  enableConnectProtocol: 0x8,
  noRfc7540Priorities: 0x9,
} as const;

/** Section 7. */
export const ErrorCode = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

const errorNames: readonly string[] = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

const frameNames: readonly string[] = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];

/** The RFC's name of an error code; of an unknown one its number in hex. */
export function errorName(code: number): string {
  return errorNames[code] ?? `0x${code.toString(16)}`;
}

/** The RFC's name of a frame type; of an unknown one its number in hex. */
export function frameName(type: number): string {
  return frameNames[type] ?? `frame 0x${type.toString(16)}`;
}
