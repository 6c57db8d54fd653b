import { Slot } from './shapes.ts';

/**
 * One message as it came, and where in it the fields stand that are decided by. Texts are made when they are asked for,
 * from the message's own bytes: these must not change as long as a view of them is used.
 */
export type MessageView = RequestView | ResponseView | EventView;

export interface AgentName {
  readonly type: string;
  readonly key: string;
}

/** RpcRequest: a call of an agent. */
export class RequestView {
  readonly kind: 'request' = 'request';
  readonly bytes: Buffer;
  readonly spans: readonly number[];
  #requestId: string | undefined;

  constructor(bytes: Buffer, spans: readonly number[]) {
    this.bytes = bytes;
    this.spans = spans;
  }

  /** '' where it is absent; so with all names. */
  get requestId(): string {
    this.#requestId ??= textAt(this.bytes, this.spans, Slot.requestId);
    return this.#requestId;
  }

  /** The caller; undefined where it says that it is no agent. */
  get source(): AgentName | undefined {
    return agentAt(this.bytes, this.spans, Slot.source, Slot.sourceType, Slot.sourceKey);
  }

  get target(): AgentName | undefined {
    return agentAt(this.bytes, this.spans, Slot.target, Slot.targetType, Slot.targetKey);
  }
}

/** RpcResponse: what became of a call. */
export class ResponseView {
  readonly kind: 'response' = 'response';
  readonly bytes: Buffer;
  readonly spans: readonly number[];
  #requestId: string | undefined;

  constructor(bytes: Buffer, spans: readonly number[]) {
    this.bytes = bytes;
    this.spans = spans;
  }

  get requestId(): string {
    this.#requestId ??= textAt(this.bytes, this.spans, Slot.requestId);
    return this.#requestId;
  }

  /** Whether the call failed, without making its text. */
  get failed(): boolean {
    return (this.spans[Slot.error + 1] as number) > (this.spans[Slot.error] as number);
  }

  /** What the caller's exception says; '' where the call did not fail. */
  get error(): string {
    return textAt(this.bytes, this.spans, Slot.error);
  }
}

/** CloudEvent: what is published to a topic. */
export class EventView {
  readonly kind: 'event' = 'event';
  readonly bytes: Buffer;
  readonly spans: readonly number[];

  constructor(bytes: Buffer, spans: readonly number[]) {
    this.bytes = bytes;
    this.spans = spans;
  }

  get id(): string {
    return textAt(this.bytes, this.spans, Slot.id);
  }

  get topicType(): string {
    return textAt(this.bytes, this.spans, Slot.topicType);
  }

  get topicSource(): string {
    return textAt(this.bytes, this.spans, Slot.topicSource);
  }

  /** The attribute agagentsendertype; undefined where it is absent. */
  get senderType(): string | undefined {
    return attributeAt(this.bytes, this.spans, Slot.senderType);
  }

  /** The attribute agagentsenderkey; undefined where it is absent. */
  get senderKey(): string | undefined {
    return attributeAt(this.bytes, this.spans, Slot.senderKey);
  }

  /** The attribute agmsgkind: publish, rpc_request, rpc_response, error; undefined where it is absent. */
  get messageKind(): string | undefined {
    return attributeAt(this.bytes, this.spans, Slot.messageKind);
  }
}

/** Of a span that was read and found to be UTF-8. */
export function textAt(bytes: Buffer, spans: readonly number[], slot: number): string {
  const end = spans[slot + 1] as number;
  return end < 0 ? '' : bytes.toString('utf8', spans[slot] as number, end);
}

function attributeAt(bytes: Buffer, spans: readonly number[], slot: number): string | undefined {
  return (spans[slot + 1] as number) < 0 ? undefined : textAt(bytes, spans, slot);
}

function agentAt(
  bytes: Buffer,
  spans: readonly number[],
  whole: number,
  type: number,
  key: number,
): AgentName | undefined {
  // What has no end was cut.
  if ((spans[whole + 1] as number) < 0) return undefined;
  return { type: textAt(bytes, spans, type), key: textAt(bytes, spans, key) };
}
