import type { Clock, Timer } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Log } from '../core/ports.ts';
import type { TokenRequest } from './development-issuer.ts';
import { developmentLimits } from './options.ts';
import { writePrivateFile } from './private-files.ts';

export interface TokenRenewalOptions {
  /** Rewritten whole; its directory must exist. */
  readonly file: string;
  readonly subject: string;
  readonly lifetimeMs?: number;
  readonly audience?: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface TokenRenewal {
  stop(): void;
}

/**
 * Writes a token to a file and replaces it at 80 % of its life, for as long as it runs. The first one is written
 * before this resolves, and its failure thrown; a later one is logged and tried again at the next look.
 */
export async function startRenewal(
  options: TokenRenewalOptions,
  mint: (request: TokenRequest) => Promise<string>,
): Promise<TokenRenewal> {
  const renewal = new Renewal(options, mint);
  await renewal.write();
  renewal.schedule();
  return renewal;
}

class Renewal implements TokenRenewal {
  readonly #options: TokenRenewalOptions;
  readonly #mint: (request: TokenRequest) => Promise<string>;
  readonly #lifetimeMs: number;
  #dueAtMs = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: TokenRenewalOptions, mint: (request: TokenRequest) => Promise<string>) {
    this.#options = options;
    this.#mint = mint;
    this.#lifetimeMs = options.lifetimeMs ?? developmentLimits.tokenLifeMs;
  }

  async write(): Promise<void> {
    const { file, subject, audience, clock } = this.#options;
    const mintedAtMs = clock.now();
    const token = await this.#mint({
      subject,
      lifetimeMs: this.#lifetimeMs,
      ...(audience !== undefined && { audience }),
    });
    await writePrivateFile(file, `${token}\n`);
    this.#dueAtMs = mintedAtMs + this.#lifetimeMs * developmentLimits.renewAt;
  }

  schedule(): void {
    if (this.#stopped) return;
    const { clock } = this.#options;
    const dueInMs = Math.max(0, this.#dueAtMs - clock.now());
    this.#timer = clock.after(Math.min(dueInMs, developmentLimits.renewalCheckMs), () => void this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const { clock, log, file } = this.#options;
    if (clock.now() < this.#dueAtMs) {
      this.schedule();
      return;
    }
    try {
      await this.write();
    } catch (error) {
      log.warn({ file, error: messageOf(error) }, 'token was not renewed; trying again');
      this.#dueAtMs = clock.now() + developmentLimits.renewalCheckMs;
    }
    this.schedule();
  }
}
