import type { AcceptedCall } from '../../core/ports.ts';
import { ErrorCode } from '../../wire/http2/frames.ts';
import { hostHeaders } from './host-address.ts';
import type { AutogenPorts } from './options.ts';
import { pause } from './replay.ts';

/** Until the host has surely begun the call, so that its end is one. */
const openForMs = 1_000;

/**
 * The host forgets what a client registered when that one's channel ends; of one that never opened any it would keep it
 * for good. So a channel is opened in its name, on the connection of `call`, and ended. False where the host can't be
 * reached so.
 */
export async function sweep(
  { clock, target, log }: AutogenPorts,
  call: AcceptedCall,
  hostId: string,
): Promise<boolean> {
  try {
    const stream = await target.open(call, {
      headers() {},
      data: bytes => stream.consume(bytes.byteLength),
      end() {},
      sent() {},
      closed() {},
    });
    stream.sendHeaders(hostHeaders(target, call, 'OpenChannel', hostId), false);
    await pause(clock, openForMs);
    stream.reset(ErrorCode.cancel);
    return true;
  } catch {
    log.debug({}, 'registrations without a channel are left at a host that can’t be reached now');
    return false;
  }
}
