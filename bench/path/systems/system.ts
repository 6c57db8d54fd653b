import type { AutogenCaller } from '../autogen.ts';
import type { Material } from '../material.ts';
import type { BackendPorts } from '../messages.ts';
import type { Program } from '../program.ts';

/** Lockwire, and those that do the same work beside it. */
export const systemNames = [
  'lockwire',
  'haproxy',
  'nginx',
  'nghttpx',
  'envoy',
  'node:http2',
  // Nothing in between.
  'direct',
] as const;
export type SystemName = (typeof systemNames)[number];

/** What a load can be sent through. */
export interface System {
  /** Where the load connects to. */
  readonly port: number;
  /** Those whose processor time and memory are the system's. */
  readonly programs: readonly Program[];
  /** Where the load is real AutoGen: its workers stay connected. */
  readonly caller?: AutogenCaller;
}

export interface Surroundings {
  readonly material: Material;
  readonly backend: BackendPorts;
}

export type MakeSystem = (around: Surroundings) => Promise<System>;

/** How clients of an HTTP/2 system show who they are. */
export type Credential = 'certificate' | 'token';
