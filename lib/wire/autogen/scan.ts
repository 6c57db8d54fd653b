import { ProtobufReader } from '../protobuf/reader.ts';
import { walk } from '../protobuf/walk.ts';
import { asBuffer } from './buffer.ts';
import { messageShape, newSpans, Slot } from './shapes.ts';
import { EventView, type MessageView, RequestView, ResponseView } from './views.ts';

/**
 * One Message of OpenChannel: finds what is decided by and remembers where, without decoding the rest; all of it is
 * checked. undefined where it says nothing that is known: no member of the oneof. Throws ProtobufError (`protocol`)
 * on what is no such message, or could be read in two ways.
 */
export function scanMessage(bytes: Uint8Array): MessageView | undefined {
  const spans = newSpans();
  walk(new ProtobufReader(bytes), bytes.byteLength, messageShape, spans);
  const buffer = asBuffer(bytes);
  if ((spans[Slot.request] as number) >= 0) return new RequestView(buffer, spans);
  if ((spans[Slot.response] as number) >= 0) return new ResponseView(buffer, spans);
  if ((spans[Slot.event] as number) >= 0) return new EventView(buffer, spans);
  return undefined;
}
