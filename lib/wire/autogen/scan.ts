import { ProtobufError } from '../protobuf/errors.ts';
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
  return viewOf(bytes, spans);
}

/** What the beginning of a message tells of it. */
export interface BeginningView {
  /** As a view of the whole would have it, but for what lies behind the cut: that reads as absent. */
  readonly view: MessageView | undefined;
  /** Whether the request id of a request or response, or an event's topic (type and source), was found. */
  readonly found: boolean;
}

/**
 * The first bytes of a Message of `messageBytes`, for a message that is too large to be kept: enough to answer it with.
 * Nothing may be permitted by it, since what lies behind the cut was not looked at. Throws as scanMessage does.
 */
export function scanBeginning(bytes: Uint8Array, messageBytes: number): BeginningView {
  const spans = newSpans();
  try {
    walk(new ProtobufReader(bytes), messageBytes, messageShape, spans);
  } catch (error) {
    if (!(error instanceof ProtobufError) || error.reason !== 'truncated') throw error;
  }
  const view = viewOf(bytes, spans);
  return { view, found: view !== undefined && wasFound(view) };
}

function viewOf(bytes: Uint8Array, spans: number[]): MessageView | undefined {
  const buffer = asBuffer(bytes);
  if ((spans[Slot.request] as number) >= 0) return new RequestView(buffer, spans);
  if ((spans[Slot.response] as number) >= 0) return new ResponseView(buffer, spans);
  if ((spans[Slot.event] as number) >= 0) return new EventView(buffer, spans);
  return undefined;
}

function wasFound({ kind, spans }: MessageView): boolean {
  const whole = (slot: number): boolean => (spans[slot + 1] as number) >= 0;
  return kind === 'event' ? whole(Slot.topicType) && whole(Slot.topicSource) : whole(Slot.requestId);
}
