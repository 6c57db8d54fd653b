import type { Log } from './core/ports.ts';
import { type GatewayPin, readPin, writePin } from './store/gateway-pin.ts';
import type { DialHandshake, Fresh } from './tunnel/handshake-dial.ts';

/** What `--enroll` brings: the code for the gateway, and the beginning of its key's fingerprint for us. */
export interface Enrollment {
  readonly code: string;
  readonly gatewayFingerprint: string;
}

/** Which gateway an instance of `connect` or `expose` talks to: the one that it was enrolled at, and no other. */
export class GatewayTrust {
  readonly #path: string;
  readonly #log: Log;
  #pin: GatewayPin | undefined;
  #enrollment: Enrollment | undefined;

  /** `path` is beside the instance's key. Throws `config` where what is there is no pin. */
  constructor(path: string, enrollment: Enrollment | undefined, log: Log) {
    this.#path = path;
    this.#log = log;
    this.#pin = readPin(path);
    this.#enrollment = enrollment;
  }

  forDial(): Pick<DialHandshake, 'gatewayKey' | 'gatewayFingerprint' | 'enrollment'> {
    const enrollment = this.#enrollment;
    const pin = this.#pin;
    if (enrollment === undefined) return pin === undefined ? {} : { gatewayKey: pin.key };
    const { code, gatewayFingerprint } = enrollment;
    // A code that stays in a unit file is used at each start; meanwhile the gateway may have changed its key.
    if (pin?.enrolledBy === gatewayFingerprint) return { gatewayKey: pin.key, enrollment: code };
    return { gatewayFingerprint, enrollment: code };
  }

  /** There is a session: its gateway's key is proven. */
  up({ gatewayKey }: Fresh): void {
    const known = this.#pin !== undefined && Buffer.from(this.#pin.key).equals(gatewayKey);
    const enrollment = this.#enrollment;
    this.#enrollment = undefined;
    const enrolledBy = enrollment?.gatewayFingerprint ?? this.#pin?.enrolledBy;
    if (enrolledBy === undefined || (known && enrolledBy === this.#pin?.enrolledBy)) return;
    const renewed = this.#pin !== undefined && enrollment === undefined;
    this.#pin = { key: gatewayKey, enrolledBy };
    writePin(this.#path, this.#pin);
    this.#log.info(
      { file: this.#path },
      renewed
        ? "the gateway's key was changed by the one before; the new one is pinned"
        : 'enrolled; the gateway is pinned',
    );
  }
}
