import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { AcceptedCall, CallEvents, CallField, CallStream, CallTarget } from '../../core/ports.ts';
import { GrpcStatus } from '../../wire/grpc/status.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import { type Status, statusOf } from './grpc-answer.ts';
import { hostHeaders } from './host-address.ts';
import { MessageReader } from './message-reader.ts';
import type { BufferShare } from './options.ts';
import { StreamWriter } from './stream-writer.ts';

export interface HostCall {
  readonly call: AcceptedCall;
  readonly method: string;
  readonly hostId: string;
  readonly message: Uint8Array;
  readonly timeoutMs: number;
}

export interface HostPorts {
  readonly clock: Clock;
  readonly target: CallTarget;
  readonly buffers: BufferShare;
  readonly maxAnswerBytes: number;
}

/** Calls one of the host's unary methods. Never rejects: whatever happens is a status. */
export function callHost(ports: HostPorts, asked: HostCall): Promise<Status> {
  return new Promise(resolve => {
    new HostUnary(ports, asked, resolve).start();
  });
}

class HostUnary implements CallEvents {
  readonly #ports: HostPorts;
  readonly #asked: HostCall;
  readonly #resolve: (status: Status) => void;
  readonly #reader: MessageReader;
  #stream: CallStream | undefined;
  #status: Status | undefined;
  #over = false;
  #cancelTimer: () => void = () => undefined;

  constructor(ports: HostPorts, asked: HostCall, resolve: (status: Status) => void) {
    this.#ports = ports;
    this.#asked = asked;
    this.#resolve = resolve;
    // What it answers with is empty, or of no use to us.
    this.#reader = new MessageReader(ports.maxAnswerBytes, 0, ports.buffers, { message() {}, skipped() {} });
  }

  async start(): Promise<void> {
    const { clock, target } = this.#ports;
    const { call, method, hostId, message, timeoutMs } = this.#asked;
    const timer = clock.after(timeoutMs, () =>
      this.#end({
        code: GrpcStatus.deadlineExceeded,
        text: `the host did not answer within ${timeoutMs} ms`,
      }),
    );
    this.#cancelTimer = () => timer.cancel();
    try {
      const stream = await target.open(call, this);
      if (this.#over) return stream.reset(ErrorCode.cancel);
      this.#stream = stream;
      stream.sendHeaders(hostHeaders(target, call, method, hostId), false);
      new StreamWriter(stream).message([message]);
      stream.end();
    } catch (error) {
      this.#end({ code: GrpcStatus.unavailable, text: messageOf(error) });
    }
  }

  headers(fields: readonly CallField[], _endStream: boolean): void {
    this.#status = statusOf(fields) ?? this.#status;
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      this.#reader.push(bytes);
      this.#stream?.consume(bytes.byteLength);
    } catch (error) {
      this.#end({ code: GrpcStatus.internal, text: messageOf(error) });
    }
  }

  end(): void {
    this.#end(
      this.#status ?? { code: GrpcStatus.internal, text: 'the host’s answer has no grpc-status' },
      true,
    );
  }

  sent(_bytes: number): void {}

  closed(cut: { readonly code: number; readonly text: string } | undefined): void {
    const text = cut?.text || 'the host broke the call off';
    this.#end(this.#status ?? { code: GrpcStatus.unavailable, text }, true);
  }

  #end(status: Status, closed = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTimer();
    this.#reader.close();
    if (!closed) this.#stream?.reset(ErrorCode.cancel);
    this.#resolve(status);
  }
}
