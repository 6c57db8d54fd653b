// What a row is: a load, what its price is counted in, and how much of a peer's price it may be.
import type { LoadOrder } from './messages.ts';
import type { MakeSystem, SystemName } from './systems/system.ts';

/** Systems that stand side by side before the same backend, and the loads that are sent through them. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Who does the work that the systems share out, in a line of the page. */
  readonly note?: string;
  readonly systems: Partial<Readonly<Record<SystemName, MakeSystem>>>;
  /** How the load reaches the system: TLS with or without a client certificate, or plain. */
  readonly entry: 'plain' | 'tls' | 'tls-with-certificate';
  /** Memory that was once used is not given back: growth is seen in processes that are new. */
  readonly fresh?: boolean;
  readonly rows: readonly Row[];
}

export interface Row {
  readonly name: string;
  readonly title: string;
  readonly load: RowLoad;
  /**
   * `processor`: seconds of it per piece of work. `memory`: bytes that are held per piece, from `warm` to `held`.
   * `latency`: milliseconds of the piece in the middle; what each process spent is told beside it.
   */
  readonly price: 'processor' | 'memory' | 'latency';
  readonly unit: string;
  /** What `unit` counts, of those seconds, bytes or milliseconds. */
  readonly scale: number;
  readonly targets: readonly Target[];
}

type Shape = Pick<LoadOrder, 'kind' | 'connections' | 'depth' | 'messageBytes' | 'paths'>;

export type RowLoad =
  | (Shape & {
      readonly by: 'load';
      /** The first so many of the run's tokens, one a call. */
      readonly tokens?: number;
      /** Client certificates of different names that its connections share out; one where absent. */
      readonly identities?: number;
      /** `short` is absent where the short form has no such row. */
      readonly amount: { readonly full: number; readonly short?: number };
      readonly warmUp: number;
    })
  | {
      readonly by: 'h2load';
      readonly connections: number;
      readonly depth: number;
      readonly messageBytes: number;
      readonly seconds: number;
      readonly warmUpSeconds: number;
    }
  | {
      /** Real AutoGen's workers, whose calls go through its own host. */
      readonly by: 'autogen';
      /** Calls in flight. */
      readonly depth: number;
      readonly messageBytes: number;
      readonly amount: { readonly full: number };
      readonly warmUp: number;
    };

/** A share of a peer's price in the same run, so much of the row's unit, or so much of it more than a peer. */
export type Target = AgainstPeer | AtMost | Adds;

export interface AgainstPeer {
  readonly peer: SystemName;
  /** Lockwire's price over the peer's: over this, the row has failed. */
  readonly must?: number;
  /** Where it is to get. */
  readonly aim?: number;
}

export interface AtMost {
  readonly mustAtMost: number;
  readonly aimAtMost: number;
}

export interface Adds {
  /** Lockwire stands before the same service as this one does. */
  readonly over: SystemName;
  /** Lockwire's price less that one's: over this, the row has failed. */
  readonly mustAdd: number;
  readonly aimAdd: number;
}

export const mebibyte: number = 1024 * 1024;

/** Processor microseconds a piece, and seconds a gigabyte. */
export const perPiece: Pick<Row, 'price' | 'unit' | 'scale'> = { price: 'processor', unit: 'µs', scale: 1e6 };
export const perGigabyte: Pick<Row, 'price' | 'unit' | 'scale'> = {
  price: 'processor',
  unit: 's/GB',
  scale: 1e9,
};
export const timeOfPiece: Pick<Row, 'price' | 'unit' | 'scale'> = { price: 'latency', unit: 'ms', scale: 1 };
export const heldPerPiece: Pick<Row, 'price' | 'unit' | 'scale'> = {
  price: 'memory',
  unit: 'KiB',
  scale: 1 / 1024,
};
