import { Http2Error } from './errors.ts';
import { ErrorCode, maxMaxFrameBytes, maxWindowBytes, minMaxFrameBytes, SettingId } from './frames.ts';

/** Throws Http2Error, the connection's, where the value may not be. Unknown settings may be anything (section 6.5.2). */
export function checkSetting(id: number, value: number): void {
  switch (id) {
    // RFC 9113 section 6.5.2; RFC 8441 section 3; RFC 9218 section 2.1.
    case SettingId.enablePush:
    case SettingId.enableConnectProtocol:
    case SettingId.noRfc7540Priorities:
      if (value > 1) throw bad(ErrorCode.protocolError, id, value, '0 or 1');
      return;
    // RFC 9113 section 6.5.2: this one has its own code.
    case SettingId.initialWindowSize:
      if (value > maxWindowBytes) {
        throw bad(ErrorCode.flowControlError, id, value, `at most ${maxWindowBytes}`);
      }
      return;
    case SettingId.maxFrameSize:
      if (value < minMaxFrameBytes || value > maxMaxFrameBytes) {
        throw bad(ErrorCode.protocolError, id, value, `${minMaxFrameBytes} to ${maxMaxFrameBytes}`);
      }
      return;
  }
}

function bad(errorCode: number, id: number, value: number, expected: string): Http2Error {
  return new Http2Error(errorCode, `setting ${id} is ${value}, expected ${expected}`);
}
