import { LockwireError } from '../../core/errors.ts';
import { ErrorCode, errorName } from './frames.ts';

/** A peer's fault in HTTP/2: what to say in RST_STREAM or GOAWAY (RFC 9113 section 5.4). */
export class Http2Error extends LockwireError {
  /** RFC 9113 section 7. */
  readonly errorCode: number;
  /** 0: the connection's. */
  readonly streamId: number;

  constructor(errorCode: number, message: string, streamId = 0) {
    const code = errorCode === ErrorCode.enhanceYourCalm ? 'limit' : 'protocol';
    super(code, `${errorName(errorCode)}: ${message}`);
    this.name = 'Http2Error';
    this.errorCode = errorCode;
    this.streamId = streamId;
  }
}
