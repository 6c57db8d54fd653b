import type { Clock } from '../../core/clock.ts';
import type { CallStream } from '../../core/ports.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import { endWith, type Status } from './grpc-answer.ts';

/** A client that was answered may go on sending for so long. */
const lingerMs = 5_000;

/** Refuses a call that nobody reads yet. */
export function refuse(stream: CallStream, status: Status, clock: Clock): void {
  let ended = false;
  stream.start({
    headers() {},
    data: bytes => stream.consume(bytes.byteLength),
    end: () => {
      ended = true;
    },
    sent() {},
    closed: () => {
      ended = true;
    },
  });
  endWith(stream, status, false);
  stopLater(stream, clock, () => ended);
}

/** RFC 9113 section 8.1: the whole answer is out, the rest of the request is not wanted. */
export function stopLater(stream: CallStream, clock: Clock, ended: () => boolean): void {
  clock.after(lingerMs, () => {
    if (!ended()) stream.reset(ErrorCode.noError);
  });
}
