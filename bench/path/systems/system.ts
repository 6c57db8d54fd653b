import type { Material } from '../material.ts';
import type { BackendPorts } from '../messages.ts';
import type { Program } from '../program.ts';

/** Lockwire, and those that do the same work beside it. */
export const systemNames = ['lockwire', 'haproxy', 'nginx', 'nghttpx', 'envoy', 'node:http2'] as const;
export type SystemName = (typeof systemNames)[number];

/** What a load can be sent through. */
export interface System {
  /** Where the load connects to. */
  readonly port: number;
  readonly programs: readonly Program[];
}

export interface Surroundings {
  readonly material: Material;
  readonly backend: BackendPorts;
}

export type MakeSystem = (around: Surroundings) => Promise<System>;

/** How clients of an HTTP/2 system show who they are. */
export type Credential = 'certificate' | 'token';
