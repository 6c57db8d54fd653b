import { defaultWindowPoolLimits, type WindowPoolLimits } from './options.ts';

/**
 * What all receive windows of a process may hold together. Base windows shrink as streams become many, so that a
 * thousand stalled streams stay within a named bound; growth beyond the base comes from a fixed pool.
 */
export class WindowPool {
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

  /** A base window for a new stream: `wanted`, a half or a quarter of it. */
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

  /** Takes so much growth, or nothing. */
  takeGrowth(bytes: number): boolean {
    if (this.#growth + bytes > this.#limits.growthBytes) return false;
    this.#growth += bytes;
    return true;
  }

  returnGrowth(bytes: number): void {
    this.#growth -= bytes;
  }
}
