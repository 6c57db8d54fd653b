import type { Clock } from '../core/clock.ts';
import { LockwireError } from '../core/errors.ts';
import type { DialledConnection } from '../core/ports.ts';

/** The connection that a dial brings, where it comes in time; one that comes later is closed. Rejects with `timeout`. */
export async function timely(
  dialling: Promise<DialledConnection>,
  withinMs: number,
  clock: Clock,
): Promise<DialledConnection> {
  const late = Promise.withResolvers<never>();
  const timer = clock.after(withinMs, () =>
    late.reject(new LockwireError('timeout', `no connection to the gateway within ${withinMs} ms`)),
  );
  try {
    return await Promise.race([dialling, late.promise]);
  } catch (error) {
    dialling.then(discard, () => {});
    throw error;
  } finally {
    timer.cancel();
  }
}

function discard({ carrier }: DialledConnection): void {
  carrier.start({ data() {}, end() {}, closed() {} });
  carrier.destroy();
}
