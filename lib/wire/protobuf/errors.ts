import { LockwireError } from '../../core/errors.ts';

/** Every reason for which a message is refused. A closed set, fit for a metric's label. */
export type MalformedReason =
  /** The bytes end inside a field. */
  | 'truncated'
  /** A length passes the message it stands in. */
  | 'length'
  /** A varint that is longer than its value needs, or than 10 bytes. */
  | 'varint'
  /** Field number 0 or above 2^29 - 1. */
  | 'tag'
  /** A wire type that does not exist, or not for this field. */
  | 'wire-type'
  /** Groups: AutoGen has none, and they are what nests without a bound. */
  | 'group'
  /** A field that may be there once is there twice: the last wins, or they merge, or the first is read. */
  | 'duplicate'
  /** Two members of one oneof. */
  | 'oneof'
  /** A map with a key twice, with a key or a value that is not what the map has, or with too many entries. */
  | 'map'
  | 'utf8'
  /** A name longer than its limit. */
  | 'name-size';

/** Bytes that are no message of ours, or that two parsers could read differently. */
export class ProtobufError extends LockwireError {
  readonly reason: MalformedReason;

  constructor(reason: MalformedReason, message: string) {
    super('protocol', message);
    this.name = 'ProtobufError';
    this.reason = reason;
  }
}
