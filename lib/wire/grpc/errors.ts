import { LockwireError } from '../../core/errors.ts';
import { GrpcStatus, statusName } from './status.ts';

/** A peer's fault in gRPC, with the status that says so. */
export class GrpcError extends LockwireError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(
      status === GrpcStatus.resourceExhausted ? 'limit' : 'protocol',
      `${statusName(status)}: ${message}`,
    );
    this.name = 'GrpcError';
    this.status = status;
  }
}
