import { ErrorCode } from '../../wire/http2/frames.ts';
import type { Client } from './client.ts';
import { hostHeaders } from './host-address.ts';
import type { AutogenPorts } from './options.ts';

/** Until the host has surely begun the call, so that its end is one. */
const openForMs = 1_000;

/**
 * The host forgets what a client registered when that one's channel ends; of one that never opened any it would keep it
 * for good. So a channel is opened in its name and ended.
 */
export async function sweep(
  { clock, target, log }: AutogenPorts,
  { call }: Client,
  hostId: string,
): Promise<void> {
  try {
    const stream = await target.open(call, {
      headers() {},
      data: bytes => stream.consume(bytes.byteLength),
      end() {},
      sent() {},
      closed() {},
    });
    stream.sendHeaders(hostHeaders(target, call, 'OpenChannel', hostId), false);
    clock.after(openForMs, () => stream.reset(ErrorCode.cancel));
  } catch {
    log.debug({}, 'registrations without a channel were left at a host that can’t be reached');
  }
}
