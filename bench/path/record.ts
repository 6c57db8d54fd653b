import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import type { Form, RowResult } from './measure.ts';
import { pinned } from './program.ts';
import type { Verdict } from './verdict.ts';

export interface JudgedRow extends RowResult {
  readonly must: string;
  readonly aim: string;
  readonly verdict: Verdict;
}

/** A whole run, as build/bench.json and bench/recorded.json hold it. */
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
    readonly haproxy: string;
    /** Whether the proxies had a core to themselves. */
    readonly pinned: boolean;
  };
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
    haproxy: haproxyVersion() ?? 'none',
    pinned,
  };
}

export function haproxyVersion(): string | undefined {
  const { stdout, status } = spawnSync('haproxy', ['-v'], { encoding: 'utf8' });
  return status === 0 ? /version (\d+\.\d+\.\d+)/.exec(stdout)?.[1] : undefined;
}
