import { defaultWindowPoolLimits, type WindowPoolLimits } from './options.ts';

/** Where receive windows have their memory from. */
export interface WindowSource {
  /** A base window for a new stream: `wanted`, a half or a quarter of it. */
  takeBase(wanted: number): number;
  returnBase(bytes: number): void;
  /** Takes so much growth, or nothing. */
  takeGrowth(bytes: number): boolean;
  returnGrowth(bytes: number): void;
}

/**
 * What all receive windows of a process may hold together. Base windows shrink as streams become many, so that a
 * thousand stalled streams stay within a named bound; growth beyond the base comes from a fixed pool.
 */
export class WindowPool implements WindowSource {
  readonly #limits: WindowPoolLimits;
  #base = 0;
  #growth = 0;

  constructor(limits: WindowPoolLimits = defaultWindowPoolLimits) {
    this.#limits = limits;
  }

  /** Bytes promised as base windows, and as growth. */
  get promised(): { base: number; growth: number } {
    return { base: this.#base, growth: this.#growth };
  }

  takeBase(wanted: number): number {
    const { baseBytes } = this.#limits;
    const share = this.#base < baseBytes ? 1 : this.#base < 2 * baseBytes ? 2 : 4;
    const granted = Math.ceil(wanted / share);
    this.#base += granted;
    return granted;
  }

  returnBase(bytes: number): void {
    this.#base -= bytes;
  }

  /** At most half of what is free: whoever comes late still finds some. */
  takeGrowth(bytes: number): boolean {
    if (bytes > (this.#limits.growthBytes - this.#growth) / 2) return false;
    this.#growth += bytes;
    return true;
  }

  returnGrowth(bytes: number): void {
    this.#growth -= bytes;
  }
}

/** One session's part of the pool: no session takes more growth than its budget. */
export class WindowShare implements WindowSource {
  readonly #pool: WindowSource;
  readonly #maxGrowthBytes: number;
  #growth = 0;

  constructor(pool: WindowSource, maxGrowthBytes: number) {
    this.#pool = pool;
    this.#maxGrowthBytes = maxGrowthBytes;
  }

  takeBase(wanted: number): number {
    return this.#pool.takeBase(wanted);
  }

  returnBase(bytes: number): void {
    this.#pool.returnBase(bytes);
  }

  takeGrowth(bytes: number): boolean {
    if (this.#growth + bytes > this.#maxGrowthBytes || !this.#pool.takeGrowth(bytes)) return false;
    this.#growth += bytes;
    return true;
  }

  returnGrowth(bytes: number): void {
    this.#growth -= bytes;
    this.#pool.returnGrowth(bytes);
  }
}
