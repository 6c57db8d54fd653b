import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type { Form, RowResult } from './measure.ts';
import { pinned } from './program.ts';
import type { Verdict } from './verdict.ts';

export interface JudgedRow extends RowResult {
  readonly verdicts: readonly Verdict[];
  /** Where it could not be measured: why. */
  readonly failure?: string;
}

/** A whole run, as bench/out/*.json and bench/recorded.json hold it. */
export interface BenchRecord {
  readonly command: string;
  readonly date: string;
  readonly form: Form;
  readonly rounds: number;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryGib: number;
    readonly system: string;
    readonly node: string;
    readonly openssl: string;
    /** Whether the proxies had a core to themselves. */
    readonly pinned: boolean;
  };
  /** Versions by name. */
  readonly peers: Readonly<Record<string, string>>;
  readonly rows: readonly JudgedRow[];
}

export const recordedPath: string = join(import.meta.dirname, '..', 'recorded.json');

export function readRecord(): BenchRecord | undefined {
  if (!existsSync(recordedPath)) return undefined;
  return JSON.parse(readFileSync(recordedPath, 'utf8')) as BenchRecord;
}

/** What `bench/micro/run.ts --json` writes. */
export interface MicroRecord {
  readonly node: string;
  readonly results: readonly { readonly name: string; readonly nsMedian?: number; readonly nsP99?: number }[];
}

export function readMicroRecord(): MicroRecord | undefined {
  const path = join(import.meta.dirname, '..', 'recorded-micro.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as MicroRecord) : undefined;
}

/** What the figures depend on; no name of a machine or a person. */
export function machineFacts(): BenchRecord['machine'] {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().split('-')[0]} ${arch()}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
    pinned,
  };
}
