/** The parts of the wire as `lockwire doctor` walks them, and what it has to say of each. */

export const parts = [
  'dns',
  'tcp',
  'proxy',
  'tls',
  'exporter',
  'token',
  'permit',
  'exposer',
  'upstream',
] as const;

export type Part = (typeof parts)[number];

export interface PartReport {
  readonly part: Part;
  readonly state: 'ok' | 'failed' | 'skipped';
  /** One safe line: what was seen, never a secret. */
  readonly seen: string;
  /** What to do about it, where it failed. */
  readonly advice?: string;
}

export interface Diagnosis {
  readonly parts: readonly PartReport[];
  /** The first part that failed; none where all is well. */
  readonly first?: PartReport;
}

/** Takes what each part came to, in order, and knows the first that failed. */
export class Walk {
  readonly #reports: PartReport[] = [];
  readonly #tell: (report: PartReport) => void;

  constructor(tell: (report: PartReport) => void) {
    this.#tell = tell;
  }

  ok(part: Part, seen: string): void {
    this.#add({ part, state: 'ok', seen });
  }

  skip(part: Part, seen: string): void {
    this.#add({ part, state: 'skipped', seen });
  }

  fail(part: Part, seen: string, advice: string): void {
    this.#add({ part, state: 'failed', seen, advice });
  }

  /** Of these parts nothing can be said once one before them has failed. */
  skipUnseen(...unseen: readonly Part[]): void {
    const first = this.#first;
    const why = first ? `not looked at: ${first.part} failed` : 'not looked at';
    for (const part of unseen) {
      if (!this.#reports.some(report => report.part === part)) this.skip(part, why);
    }
  }

  get diagnosis(): Diagnosis {
    const first = this.#first;
    return { parts: this.#reports, ...(first && { first }) };
  }

  get #first(): PartReport | undefined {
    return this.#reports.find(({ state }) => state === 'failed');
  }

  #add(report: PartReport): void {
    this.#reports.push(report);
    this.#tell(report);
  }
}
