/**
 * Raw HTTP/2 clients and upstreams around the relay, in simulated time. What arrives is compared with what was sent as
 * it arrives; windows and limits are counted by both peers; in the end nothing may be left.
 */
import { BufferedStream } from '../../lib/core/buffered-stream.ts';
import { LockwireError } from '../../lib/core/errors.ts';
import type { ByteStream } from '../../lib/core/ports.ts';
import type { CloseReason } from '../../lib/core/session.ts';
import { Bearer } from '../../lib/relay/http2/bearer.ts';
import { ClientRelay, type Verdict } from '../../lib/relay/http2/client-relay.ts';
import { HeldBudget } from '../../lib/relay/http2/held-budget.ts';
import { type Http2Limits, http2Defaults } from '../../lib/relay/http2/options.ts';
import type { GrowthPool } from '../../lib/relay/http2/receive-window.ts';
import { refusalOf } from '../../lib/relay/http2/refusal.ts';
import type { RequestHead } from '../../lib/relay/http2/request.ts';
import {
  ownUpstream,
  sharedUpstream,
  type UpstreamOptions,
  Upstreams,
} from '../../lib/relay/http2/upstreams.ts';
import type { Field } from '../../lib/wire/hpack/fields.ts';
import type { Random } from './fuzz.ts';
import { ModelClock } from './http2-model-clock.ts';
import { Flow, field, type ModelExchange, origin, type Said, someFields } from './http2-model-exchange.ts';
import { type Announced, ModelPeer, type PeerOwner, type PeerStream } from './http2-model-peer.ts';
import { carrierPair, type DeliveryMode } from './relay-pipes.ts';

export type Judged = 'at once' | 'late' | 'refused' | 'refused late';

/** What either side of an exchange says next. What can't be said any more is passed over. */
export type Step =
  | { readonly say: 'info' }
  | { readonly say: 'head'; readonly end: boolean; readonly large: number }
  | {
      readonly say: 'data';
      readonly bytes: number;
      readonly padding: number | undefined;
      readonly end: boolean;
    }
  | { readonly say: 'end'; readonly trailers: boolean; readonly large: number };

/** `x` chooses among the exchanges there are, `client` among the clients; `far` is the upstream's side. */
export type Act =
  | {
      readonly do: 'open';
      readonly client: number;
      readonly method: string;
      readonly grpc: boolean;
      readonly end: boolean;
      readonly large: number;
      readonly judged: Judged;
      readonly up: readonly Step[];
      readonly down: readonly Step[];
    }
  | { readonly do: 'say'; readonly x: number; readonly far: boolean; readonly step: Step }
  | { readonly do: 'reset'; readonly x: number; readonly far: boolean; readonly code: number }
  | {
      readonly do: 'hold';
      readonly x: number;
      readonly far: boolean;
      readonly connection: boolean;
      readonly on: boolean;
    }
  | {
      readonly do: 'widen';
      readonly x: number;
      readonly far: boolean;
      readonly connection: boolean;
      readonly bytes: number;
    }
  | {
      readonly do: 'announce';
      readonly x: number;
      readonly far: boolean;
      readonly change: Partial<Announced>;
    }
  | { readonly do: 'table'; readonly x: number; readonly far: boolean; readonly bytes: number }
  | { readonly do: 'stall'; readonly x: number; readonly far: boolean; readonly on: boolean }
  | { readonly do: 'ping'; readonly x: number; readonly far: boolean }
  | { readonly do: 'goaway'; readonly x: number; readonly far: boolean; readonly back: number }
  | { readonly do: 'lose'; readonly x: number; readonly far: boolean }
  | { readonly do: 'drain'; readonly client: number }
  | { readonly do: 'revoke'; readonly client: number }
  | { readonly do: 'pass'; readonly ms: number };

export interface ModelOptions {
  readonly random: Random;
  readonly shared: boolean;
  readonly clients: number;
  readonly mode: DeliveryMode;
  readonly bufferBytes: number;
  readonly readBytes: number;
  readonly maxDelayMs: number;
  readonly first: Partial<Announced>;
  readonly limits?: Partial<Http2Limits>;
  readonly upstream?: Partial<UpstreamOptions>;
  readonly growthBytes?: number;
  readonly heldBytes?: number;
  /** Nobody gives the connections' credit back until all is let go. */
  readonly holdsConnections?: boolean;
  /** Connections upstream that can't be made, of a hundred. */
  readonly unreachable?: number;
}

interface ModelClient {
  readonly peer: ModelPeer;
  readonly relay: ClientRelay;
  readonly bearer: Bearer;
  closed: number;
}

/** Nothing is held up any more. */
const generous: Partial<Announced> = { windowBytes: 1_000_000, maxStreams: 1_000, maxListBytes: 0x7fffffff };
/** Simulated time that all may take once nothing holds it up: the relay's own waits are 10 s. */
const settleMs = 40_000;
/** And until all credit has come back, with nothing ended. */
const creditMs = 30_000;

export class Http2Model implements PeerOwner {
  readonly clock: ModelClock = new ModelClock();
  readonly exchanges: ModelExchange[] = [];
  readonly clients: ModelClient[] = [];
  readonly upstreams: ModelPeer[] = [];
  readonly held: HeldBudget;
  readonly limits: Http2Limits;
  readonly #options: ModelOptions;
  readonly #random: Random;
  readonly #sets: Upstreams[] = [];
  readonly #pool: GrowthPool;
  readonly #near = new Map<string, ModelExchange>();
  readonly #far = new Map<string, ModelExchange>();
  readonly #plans: { judged: Judged; down: readonly Step[] }[] = [];
  readonly #violations: string[] = [];
  #growthLeft: number;
  #listsLimited = false;
  #unreachable = 0;
  #upstreamsLeft = 0;
  #settling = false;
  /** What peers to come announce. */
  #first: Partial<Announced>;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#first = options.first;
    this.limits = { ...http2Defaults, ...options.limits };
    this.held = new HeldBudget(options.heldBytes);
    this.#growthLeft = options.growthBytes ?? 0;
    this.#pool = {
      takeGrowth: bytes => {
        if (bytes > this.#growthLeft) return false;
        this.#growthLeft -= bytes;
        return true;
      },
      returnGrowth: bytes => {
        this.#growthLeft += bytes;
      },
    };
    const shared = options.shared ? this.#makeSet({ ...sharedUpstream, ...options.upstream }) : undefined;
    for (let i = 0; i < options.clients; i += 1) this.#addClient(shared);
  }

  /** Plays the acts, lets all finish, and looks for what is left. Throws with all that was wrong. */
  async play(acts: readonly Act[]): Promise<void> {
    for (const act of acts) {
      await this.#act(act);
      this.#check();
    }
    await this.#settle();
    await this.#leave();
    this.#check();
  }

  // The relay and its surroundings.

  #makeSet(kind: UpstreamOptions): Upstreams {
    const set = new Upstreams(kind, {
      clock: this.clock,
      limits: this.limits,
      pool: this.#pool,
      name: 'model',
      open: () => this.#connect(),
    });
    this.#sets.push(set);
    return set;
  }

  async #connect(): Promise<ByteStream> {
    await new Promise<void>(resolve => this.clock.step(this.#random.int(20), resolve));
    if (this.#random.int(100) < (this.#options.unreachable ?? 0)) {
      this.#unreachable += 1;
      throw new LockwireError('unavailable', 'connection refused');
    }
    const { left, right } = this.#pipe();
    const peer = new ModelPeer('server', right, this.#first, this, this.#firstWindow);
    peer.holds = this.#holds;
    this.upstreams.push(peer);
    return new BufferedStream(left);
  }

  #pipe(): ReturnType<typeof carrierPair> {
    const { mode, bufferBytes, readBytes, maxDelayMs } = this.#options;
    const schedule = (step: () => void): void => this.clock.step(this.#random.int(maxDelayMs + 1), step);
    return carrierPair({ mode, bufferBytes, readBytes, schedule });
  }

  get #holds(): boolean {
    return this.#options.holdsConnections === true && this.#first !== generous;
  }

  get #firstWindow(): number {
    return Math.min(65_535, this.limits.streamWindowBytes);
  }

  #addClient(shared: Upstreams | undefined): void {
    const { left, right } = this.#pipe();
    const upstreams = shared ?? this.#makeSet({ ...ownUpstream, ...this.#options.upstream });
    const bearer = new Bearer(`User::model|${this.clients.length}`);
    const forward: Verdict = {
      kind: 'forward',
      upstreams,
      scheme: 'http',
      authority: 'model.invalid',
      bearer,
      counter: { add() {} },
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
    const relay = new ClientRelay(new BufferedStream(right), {
      clock: this.clock,
      limits: this.limits,
      pool: this.#pool,
      held: this.held.share(bearer.principal),
      judge: head => this.#judge(head, forward),
      generation: () => 0,
      onRefused: (head, { reason }) => this.#refused(head, reason),
      onClosed: () => {
        client.closed += 1;
        if (shared === undefined) upstreams.close({ code: 'cancelled', text: 'its client has gone' });
      },
    });
    const client: ModelClient = {
      peer: new ModelPeer('client', left, this.#first, this, this.#firstWindow),
      relay,
      bearer,
      closed: 0,
    };
    client.peer.holds = this.#holds;
    this.clients.push(client);
    relay.start();
  }

  #judge(head: RequestHead, forward: Verdict): Verdict | Promise<Verdict> {
    const { judged } = this.#plans[numberOf(head.path)] ?? { judged: 'at once' };
    const refuse = judged === 'refused' || judged === 'refused late';
    const verdict: Verdict = refuse
      ? { kind: 'refuse', refusal: refusalOf({ code: 'denied', text: 'denied: by the model' }) }
      : forward;
    if (judged === 'at once' || judged === 'refused') return verdict;
    return new Promise(resolve => this.clock.step(1 + this.#random.int(50), () => resolve(verdict)));
  }

  // Acts.

  async #act(act: Act): Promise<void> {
    switch (act.do) {
      case 'open':
        return this.#open(act);
      case 'pass':
        return this.clock.run(act.ms);
      case 'drain':
        return this.#clientAt(act.client).relay.drain('drained');
      case 'revoke':
        return this.#clientAt(act.client).bearer.close({ code: 'revoked', text: 'revoked: by the model' });
    }
    if (
      act.do === 'goaway' ||
      act.do === 'lose' ||
      act.do === 'stall' ||
      act.do === 'ping' ||
      act.do === 'table'
    )
      return this.#actOnPeer(act);
    const x = this.exchanges[act.x % Math.max(1, this.exchanges.length)];
    const stream = act.far ? x?.far : x?.near;
    const peer = act.far ? x?.upstream : x?.client;
    if (x === undefined || stream === undefined || peer === undefined || peer.gone) return;
    const live = peer.streams.has(stream.id);
    switch (act.do) {
      case 'say':
        if (live) this.#say(x, act.far, act.step);
        return;
      case 'reset':
        if (!live) return;
        if (act.far) x.upstreamReset = act.code;
        else x.clientReset = act.code;
        return peer.reset(stream, act.code);
      case 'hold':
        if (act.connection) peer.holds = act.on;
        else stream.holds = act.on;
        if (!act.on) peer.giveBack(act.connection ? undefined : stream);
        return;
      case 'widen':
        return peer.giveBack(act.connection ? undefined : stream, act.bytes);
      case 'announce':
        if (act.change.maxListBytes !== undefined) this.#listsLimited = true;
        return peer.announce(act.change);
    }
  }

  #actOnPeer(act: Act & { readonly x: number; readonly far: boolean }): void {
    const peers = act.far ? this.upstreams : this.clients.map(({ peer }) => peer);
    const peer = peers[act.x % Math.max(1, peers.length)];
    if (peer === undefined || peer.gone) return;
    if (act.do === 'table') peer.useTable(act.bytes);
    else if (act.do === 'ping') peer.probe();
    else if (act.do === 'lose') {
      // The relay may hear of it first.
      this.lost(peer);
      peer.breakOff();
    }
    // Not before it has acknowledged the relay's SETTINGS, which has a deadline of its own.
    else if (act.do === 'stall')
      peer.stall(act.on && peer.theirs.windowBytes === this.limits.streamWindowBytes);
    else if (act.do === 'goaway') {
      if (act.far) this.#upstreamsLeft += 1;
      const last = act.far ? Math.max(0, peer.highest - 2 * act.back) : 0;
      if (act.far) this.#abandoned(peer, id => id > last);
      // A client's own streams go on; a server has none.
      if (act.far) peer.goAway(last);
      else peer.leave();
    }
  }

  #clientAt(at: number): ModelClient {
    return this.clients[at % this.clients.length] as ModelClient;
  }

  #open(act: Act & { readonly do: 'open' }): void {
    const { peer } = this.#clientAt(act.client);
    const number = this.exchanges.length;
    const up = new Flow(`request ${number}`, number * 2);
    const upSaid: Said = { head: true, end: act.end };
    const fields = [
      field(':method', act.method),
      field(':scheme', 'https'),
      field(':path', `/model/${number}`),
      field(':authority', 'model.invalid'),
      ...(act.grpc ? [field('content-type', 'application/grpc'), field('te', 'trailers')] : []),
      ...someFields(this.#random, act.large),
    ];
    this.#opening = { number, up };
    const near = peer.open(
      this.#random.chance(0.2)
        ? [...fields, { name: 'authorization', value: 'Bearer secret', sensitive: true }]
        : fields,
      act.end,
    );
    this.#opening = undefined;
    if (near === undefined) return;
    const x: ModelExchange = {
      number,
      method: act.method,
      grpc: act.grpc,
      client: peer,
      near,
      up,
      down: new Flow(`response ${number}`, number * 2 + 1),
      openedMs: this.clock.monotonic(),
      upstream: undefined,
      far: undefined,
      upSaid,
      downSaid: { head: false, end: false },
      clientReset: undefined,
      upstreamReset: undefined,
      refusal: undefined,
      answered: false,
      clientGot: undefined,
      upstreamGot: undefined,
      clientLost: false,
      upstreamLost: false,
    };
    this.exchanges.push(x);
    this.#plans[number] = { judged: act.judged, down: act.down };
    this.#near.set(
      key(
        peer,
        this.clients.findIndex(client => client.peer === peer),
        near.id,
      ),
      x,
    );
    for (const step of act.up) this.#say(x, false, step);
  }

  #opening: { number: number; up: Flow } | undefined;

  #say(x: ModelExchange, far: boolean, step: Step): void {
    const [peer, stream, said] = far ? [x.upstream, x.far, x.downSaid] : [x.client, x.near, x.upSaid];
    if (peer === undefined || stream === undefined || said.end) return;
    const bare = far && x.method === 'HEAD';
    switch (step.say) {
      case 'info':
        if (far && !said.head) this.#sayFields(peer, stream, [field(':status', '103')], false, x, 0);
        return;
      case 'head':
        if (!said.head)
          this.#sayHead(x, peer, stream, step.end || (bare && this.#random.chance(0.5)), step.large);
        return;
      case 'data':
        if (!said.head) this.#sayHead(x, peer, stream, false, 0);
        said.end = step.end;
        return peer.queue(stream, {
          kind: 'data',
          left: bare ? 0 : step.bytes,
          padding: step.padding,
          end: step.end,
        });
      case 'end':
        if (!said.head) this.#sayHead(x, peer, stream, false, 0);
        said.end = true;
        if (!step.trailers)
          return peer.queue(stream, { kind: 'data', left: 0, padding: undefined, end: true });
        return this.#sayFields(peer, stream, [field('grpc-status', '0')], true, x, step.large);
    }
  }

  #sayHead(x: ModelExchange, peer: ModelPeer, stream: PeerStream, end: boolean, large: number): void {
    x.downSaid.head = true;
    x.downSaid.end = end;
    this.#sayFields(peer, stream, [field(':status', '200')], end, x, large);
  }

  #sayFields(
    peer: ModelPeer,
    stream: PeerStream,
    first: readonly Field[],
    end: boolean,
    x: ModelExchange,
    large: number,
  ): void {
    const fields = [...first, field(origin, String(x.number)), ...someFields(this.#random, large)];
    peer.queue(stream, { kind: 'fields', fields, end });
  }

  // PeerOwner.

  content(peer: ModelPeer, streamId: number, bytes: number): Buffer {
    const x = this.#of(peer, streamId);
    return (peer.role === 'client' ? x?.up : x?.down)?.send(bytes) ?? Buffer.alloc(bytes);
  }

  sentFields(peer: ModelPeer, streamId: number, fields: readonly Field[]): void {
    const x = this.#of(peer, streamId);
    const flow = peer.role === 'client' ? (x?.up ?? this.#opening?.up) : x?.down;
    // The scheme is the target's, and credentials stay here.
    flow?.sendFields(
      fields
        .filter(({ name }) => name !== 'authorization')
        .map(one => (one.name === ':scheme' ? field(':scheme', 'http') : one)),
    );
  }

  sentEnd(peer: ModelPeer, streamId: number): void {
    const x = this.#of(peer, streamId);
    const flow = peer.role === 'client' ? (x?.up ?? this.#opening?.up) : x?.down;
    if (flow) flow.ended = true;
  }

  fields(peer: ModelPeer, streamId: number, fields: readonly Field[]): void {
    if (peer.role === 'server') return this.#serve(peer, streamId, fields);
    const x = this.#of(peer, streamId);
    if (x === undefined) return this.violation(`a response on stream ${streamId}, which was not asked for`);
    if (fields.some(({ name }) => name === origin)) {
      if (x.answered) this.violation(`response ${x.number}: the upstream's behind the relay's own`);
      this.#tellOf(x.down.receiveFields(fields));
      return;
    }
    x.answered = true;
    if (x.refusal === undefined)
      this.violation(`response ${x.number}: an answer of the relay's own without a reason`);
  }

  #serve(peer: ModelPeer, streamId: number, fields: readonly Field[]): void {
    const known = this.#of(peer, streamId);
    if (known) return this.#tellOf(known.up.receiveFields(fields));
    const path = fields.find(({ name }) => name === ':path')?.value ?? '';
    const x = this.exchanges[numberOf(path)];
    const stream = peer.streams.get(streamId);
    if (x === undefined || stream === undefined) return this.violation(`a request for ${path}`);
    if (x.upstream !== undefined) this.violation(`request ${x.number} came twice`);
    x.upstream = peer;
    x.far = stream;
    this.#far.set(key(peer, this.upstreams.indexOf(peer), streamId), x);
    this.#tellOf(x.up.receiveFields(fields));
    for (const step of this.#plans[x.number]?.down ?? []) this.#say(x, true, step);
    if (this.#settling) this.#say(x, true, { say: 'end', trailers: x.grpc, large: 0 });
  }

  data(peer: ModelPeer, streamId: number, bytes: Uint8Array): void {
    const x = this.#of(peer, streamId);
    if (x === undefined) return this.violation(`DATA on stream ${streamId}`);
    if (peer.role === 'server') this.#tellOf(x.up.receive(bytes));
    else if (!x.answered) this.#tellOf(x.down.receive(bytes));
  }

  ended(peer: ModelPeer, streamId: number): void {
    const x = this.#of(peer, streamId);
    if (x === undefined) return;
    if (peer.role === 'server') this.#tellOf(x.up.receiveEnd());
    else if (!x.answered) this.#tellOf(x.down.receiveEnd());
    else x.down.gotEnd = true;
  }

  reset(peer: ModelPeer, streamId: number, code: number): void {
    const x = this.#of(peer, streamId);
    if (x === undefined) return this.violation(`RST_STREAM on stream ${streamId}`);
    if (peer.role === 'client') x.clientGot = code;
    else x.upstreamGot = code;
    const crossed = code === 7 && x.upstream === undefined && this.#upstreamsLeft > 0;
    const excused =
      crossed ||
      x.refusal !== undefined ||
      x.upstreamLost ||
      (peer.role === 'client'
        ? x.clientLost || x.upstreamReset === code || x.upstreamReset === 0
        : x.clientReset !== undefined || x.clientLost);
    if (!excused && !this.#heldShort(x))
      this.violation(`exchange ${x.number}: ${peer.role} was reset with ${code}`);
  }

  leaving(peer: ModelPeer): void {
    // The relay's own GOAWAY to a client: streams it had not seen are turned away.
    if (peer.role === 'client')
      for (const x of this.exchanges) if (x.client === peer) x.clientLost ||= x.far === undefined;
  }

  lost(peer: ModelPeer): void {
    if (peer.role === 'client') {
      for (const x of this.exchanges) if (x.client === peer) x.clientLost = true;
      return;
    }
    this.#upstreamsLeft += 1;
    this.#abandoned(peer, () => true);
  }

  violation(text: string): void {
    this.#violations.push(text);
  }

  #tellOf(text: string | undefined): void {
    if (text !== undefined) this.violation(text);
  }

  #of(peer: ModelPeer, streamId: number): ModelExchange | undefined {
    if (peer.role === 'server') return this.#far.get(key(peer, this.upstreams.indexOf(peer), streamId));
    return this.#near.get(
      key(
        peer,
        this.clients.findIndex(client => client.peer === peer),
        streamId,
      ),
    );
  }

  #abandoned(peer: ModelPeer, which: (id: number) => boolean): void {
    for (const x of this.exchanges)
      if (x.upstream === peer && x.far !== undefined && which(x.far.id)) x.upstreamLost = true;
  }

  #heldShort(_x: ModelExchange): boolean {
    return this.#options.heldBytes !== undefined;
  }

  // What the relay may answer itself.

  #refused(head: RequestHead | undefined, reason: CloseReason): void {
    const x = head && this.exchanges[numberOf(head.path)];
    if (x === undefined) return this.violation(`a refusal of nothing: ${reason.text}`);
    x.refusal = reason;
    if (!this.#mayRefuse(x, reason))
      this.violation(`request ${x.number} was refused: ${reason.code} ${reason.text}`);
  }

  #mayRefuse(x: ModelExchange, { code, text }: CloseReason): boolean {
    const waitedMs = this.clock.monotonic() - x.openedMs;
    if (text.includes('by the model')) return true;
    if (/^no stream to/.test(text)) return waitedMs >= 10_000;
    if (/requests wait for/.test(text)) return this.#options.upstream?.maxWaiting !== undefined;
    if (/open for this principal/.test(text))
      return this.#options.upstream?.maxStreamsPerPrincipal !== undefined;
    if (/held back|header lists/.test(text)) return this.#heldShort(x);
    if (/header list|trailers are/.test(text)) return this.#listsLimited;
    if (/^upstream: /.test(text)) return this.#upstreamsLeft > 0 || this.#heldShort(x);
    if (/^target "model"/.test(text)) return this.#unreachable > 0 || this.#upstreamsLeft > 0;
    return code === 'cancelled' && x.clientLost;
  }

  // The end.

  #peers(): ModelPeer[] {
    return [...this.upstreams, ...this.clients.map(({ peer }) => peer)].filter(({ gone }) => !gone);
  }

  #release(peer: ModelPeer): void {
    peer.stall(false);
    peer.holds = false;
    peer.giveBack(undefined);
    for (const stream of peer.streams.values()) {
      stream.holds = false;
      peer.giveBack(stream);
    }
  }

  async #settle(): Promise<void> {
    for (const peer of this.#peers()) {
      this.#release(peer);
      peer.announce(generous);
    }
    this.#first = generous;
    await this.clock.run(creditMs, () => this.#missingCredit().length === 0);
    this.#violations.push(...this.#missingCredit());
    this.#check();
    this.#settling = true;
    for (const x of this.exchanges) {
      if (x.client.streams.has(x.near.id)) this.#say(x, false, { say: 'end', trailers: false, large: 0 });
      if (x.far && x.upstream?.streams.has(x.far.id))
        this.#say(x, true, { say: 'end', trailers: x.grpc, large: 0 });
    }
    const open = (): boolean => this.exchanges.some(x => !this.#over(x));
    await this.clock.run(settleMs, () => !open());
    for (const x of this.exchanges)
      if (!this.#over(x)) this.violation(`exchange ${x.number} is stuck: ${this.#tell(x)}`);
    this.#check();
    for (const x of this.exchanges) this.#checkWhole(x);
  }

  #over(x: ModelExchange): boolean {
    const near = !x.client.gone && x.client.streams.has(x.near.id);
    const far = x.far !== undefined && !x.upstream?.gone && x.upstream?.streams.has(x.far.id) === true;
    return !near && !far;
  }

  #tell(x: ModelExchange): string {
    const state = {
      near: x.client.streams.get(x.near.id),
      far: x.far && x.upstream?.streams.get(x.far.id),
      refusal: x.refusal?.text,
      resets: [x.clientReset, x.upstreamReset, x.clientGot, x.upstreamGot],
    };
    return `${x.up}; ${x.down}; ${JSON.stringify(state)}`;
  }

  /** Nothing excuses that something is missing, then nothing may be missing. */
  #checkWhole(x: ModelExchange): void {
    const cut = x.clientReset !== undefined || x.clientLost || x.refusal !== undefined || x.upstreamLost;
    if (cut || this.#heldShort(x)) return;
    const clean = x.upstreamReset === 0 && x.down.ended;
    if (x.upstreamReset !== undefined && !clean) return;
    // REFUSED_STREAM after a GOAWAY that it crossed.
    if (x.clientGot === 7 && x.upstream === undefined && this.#upstreamsLeft > 0) return;
    if (!x.down.whole) this.violation(`not whole: ${this.#tell(x)}`);
    if (!clean && !x.up.whole) this.violation(`not whole: ${this.#tell(x)}`);
  }

  /** What came was read, so more than half of each window is announced again: the rest is given back by halves. */
  #missingCredit(): string[] {
    const { streamWindowBytes, connectionWindowBytes } = this.limits;
    const missing: string[] = [];
    for (const peer of this.#peers()) {
      if (peer.leaving || peer.theirs.windowBytes !== streamWindowBytes) continue;
      if (peer.sendWindow * 2 <= connectionWindowBytes)
        missing.push(`${peer.role}: ${peer.sendWindow} B of the connection's ${connectionWindowBytes} B`);
      for (const stream of peer.streams.values()) {
        const x = this.#of(peer, stream.id);
        const flow = peer.role === 'client' ? x?.up : x?.down;
        if (x && peer.role === 'client' && this.#isUnwanted(x, stream))
          missing.push(`${flow}: its client was not told that the rest is not wanted`);
        if (x === undefined || stream.oursEnded || !flow?.level || x.refusal || this.#broken(x)) continue;
        if (stream.sendWindow * 2 <= streamWindowBytes)
          missing.push(`${flow}: ${stream.sendWindow} B of its ${streamWindowBytes} B are announced`);
      }
    }
    return missing;
  }

  /** RFC 9113 section 8.1: the server has answered, and reset the rest of the request with NO_ERROR. */
  #isUnwanted(x: ModelExchange, near: PeerStream): boolean {
    return x.upstreamReset === 0 && x.down.whole && !near.oursEnded && x.clientReset === undefined;
  }

  #broken(x: ModelExchange): boolean {
    return x.clientReset !== undefined || x.upstreamReset !== undefined || x.clientLost || x.upstreamLost;
  }

  async #leave(): Promise<void> {
    for (const { peer } of this.clients) if (!peer.gone) peer.finish();
    await this.clock.run(3_000);
    for (const set of this.#sets) set.close({ code: 'cancelled', text: 'over' });
    await this.clock.run(15_000);
    for (const [at, { relay, closed }] of this.clients.entries()) {
      if (closed !== 1) this.violation(`client ${at}: closed ${closed} times`);
      if (relay.liveCount > 0) this.violation(`client ${at}: ${relay.liveCount} exchanges live`);
      if (relay.connection.streamCount > 0)
        this.violation(`client ${at}: ${relay.connection.streamCount} streams`);
    }
    for (const set of this.#sets)
      if (set.connectionCount > 0) this.violation(`${set.connectionCount} connections upstream`);
    if (this.held.heldBytes !== 0) this.violation(`${this.held.heldBytes} B held`);
    if (this.#growthLeft !== (this.#options.growthBytes ?? 0))
      this.violation(`${this.#growthLeft} B of growth left`);
    if (this.clock.timers > 0) this.violation(`${this.clock.timers} timers wait`);
  }

  #check(): void {
    if (this.#violations.length === 0) return;
    throw new Error(this.#violations.slice(0, 8).join('\n'));
  }
}

function numberOf(path: string): number {
  return Number(path.slice(path.lastIndexOf('/') + 1));
}

function key(peer: ModelPeer, at: number, streamId: number): string {
  return `${peer.role} ${at} ${streamId}`;
}
