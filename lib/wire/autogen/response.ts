import { encodeMessage } from '../protobuf/write.ts';

/** A Message with an RpcResponse that says why a call failed: the caller gets an exception with that text. */
export function encodeRpcResponse({
  requestId,
  error,
}: {
  readonly requestId: string;
  readonly error: string;
}): Buffer {
  return encodeMessage([
    {
      number: 2,
      fields: [
        { number: 1, text: requestId },
        { number: 3, text: error },
      ],
    },
  ]);
}
