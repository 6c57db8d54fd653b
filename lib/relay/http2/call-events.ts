import type { CallEvents } from '../../core/ports.ts';
import type { HeaderBlock } from '../../wire/hpack/decoder.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import type { Http2Stream, StreamCut, StreamHandler } from './stream.ts';

/** What a stream's events become for a dialect. `over` is told once, after the last of them. */
export class CallHandler implements StreamHandler {
  readonly #stream: () => Http2Stream | undefined;
  readonly #stays: (name: string) => boolean;
  readonly #over: (cut: StreamCut | undefined) => void;
  #events: CallEvents | undefined;

  constructor(
    events: CallEvents,
    stream: () => Http2Stream | undefined,
    stays: (name: string) => boolean,
    over: (cut: StreamCut | undefined) => void,
  ) {
    this.#events = events;
    this.#stream = stream;
    this.#stays = stays;
    this.#over = over;
  }

  headers(block: HeaderBlock, endStream: boolean): void {
    if (block.refused !== undefined) return this.#stream()?.reset(ErrorCode.enhanceYourCalm, block.refused);
    this.#events?.headers(
      block.fields.filter(({ name }) => !this.#stays(name)),
      endStream,
    );
  }

  data(bytes: Uint8Array): void {
    this.#events?.data(bytes);
  }

  end(): void {
    this.#events?.end();
  }

  sent(bytes: number): void {
    this.#events?.sent(bytes);
  }

  done(): void {
    this.#finish(undefined);
  }

  cut(cut: StreamCut): void {
    this.#finish(cut);
  }

  /** Nothing more is told, but the last word where `cut` is given. */
  silence(cut?: StreamCut): void {
    const events = this.#events;
    this.#events = undefined;
    if (cut) events?.closed(cut);
  }

  #finish(cut: StreamCut | undefined): void {
    const events = this.#events;
    this.#events = undefined;
    this.#over(cut);
    events?.closed(cut);
  }
}
