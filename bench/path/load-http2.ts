// The HTTP/2 kinds of load: calls, long streams and bulk, over connections that were opened before anything is counted.
import { CallFields, message, messageHeaderBytes } from './http2-fields.ts';
import { FrameConnection, maxFrameBytes } from './http2-frames.ts';
import { openTls, type Pause, percentiles } from './load-connection.ts';
import { type LoadOrder, type LoadResult, pingBytes } from './messages.ts';

/** What hears of one stream. */
interface StreamEvents {
  data(bytes: number): void;
  /** The other end is done. */
  end(): void;
}

/** A client's connection: streams by number, each with one who listens to it. */
class Client {
  readonly frames: FrameConnection;
  readonly fields: CallFields;
  readonly #streams = new Map<number, StreamEvents>();
  readonly #onRoom = new Set<() => void>();
  readonly #fail: (error: Error) => void;
  #nextId = 1;
  #closing = false;

  private constructor(
    order: LoadOrder,
    socket: Awaited<ReturnType<typeof openTls>>,
    fail: (error: Error) => void,
  ) {
    this.#fail = fail;
    this.fields = new CallFields(order.tls?.serverName ?? '', order.paths !== undefined);
    this.frames = new FrameConnection(socket, 'client', {
      headers: (id, end) => {
        if (end) this.#ended(id);
      },
      data: (id, payload, end) => {
        this.#streams.get(id)?.data(payload.byteLength);
        if (end) this.#ended(id);
      },
      reset: (id, code) => {
        if (this.#streams.has(id)) fail(new Error(`stream ${id} was reset with ${code}`));
      },
      room: () => {
        for (const look of this.#onRoom) look();
      },
      closed: goAway => {
        if (!this.#closing)
          fail(
            new Error(
              `the connection was closed, ${goAway === undefined ? 'without GOAWAY' : `GOAWAY ${goAway}`}`,
            ),
          );
      },
    });
  }

  static async open(order: LoadOrder, fail: (error: Error) => void, number = 0): Promise<Client> {
    return new Client(order, await openTls(order, 'h2', number), fail);
  }

  /** Opens a stream. */
  call(events: StreamEvents, varying?: { readonly path?: string; readonly token?: string }): number {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#streams.set(id, events);
    this.frames.open(id, this.fields.block(varying));
    return id;
  }

  onRoom(look: () => void): () => void {
    this.#onRoom.add(look);
    return () => void this.#onRoom.delete(look);
  }

  close(): void {
    this.#closing = true;
    this.frames.destroy();
  }

  #ended(id: number): void {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    this.frames.forget(id);
    try {
      stream?.end();
    } catch (error) {
      this.#fail(error as Error);
    }
  }
}

/** Runs with so many connections, which are gone at the end; whatever goes wrong on one of them ends it. */
async function withClients<T>(order: LoadOrder, run: (clients: readonly Client[]) => Promise<T>): Promise<T> {
  const clients: Client[] = [];
  const failed = Promise.withResolvers<never>();
  // Where nobody waits for it any more.
  failed.promise.catch(() => {});
  try {
    for (let number = 0; number < (order.connections ?? 1); number += 1) {
      clients.push(await Client.open(order, failed.reject, number));
    }
    return await Promise.race([run(clients), failed.promise]);
  } finally {
    for (const client of clients) client.close();
  }
}

/** A warm-up, a word from the harness, and what counts. */
async function counted(
  order: LoadOrder,
  pause: Pause,
  run: (amount: number) => Promise<{ readonly amount: number; readonly times?: number[] }>,
): Promise<LoadResult> {
  await run(order.warmUp);
  await pause('warm');
  const started = performance.now();
  const { amount, times } = await run(order.amount);
  const milliseconds = performance.now() - started;
  return { milliseconds, amount, ...(times === undefined ? {} : percentiles(times)) };
}

/** Calls with one message each way: on each connection so many at a time, each followed by another. */
export function unary(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const body = message(order.messageBytes ?? pingBytes, 'E');
  let call = 0;
  const varying = (): { path?: string; token?: string } => {
    call += 1;
    return {
      ...(order.paths === undefined ? {} : { path: `/bench.Echo/Call/${call % order.paths}` }),
      ...(order.tokens === undefined ? {} : { token: order.tokens[call % order.tokens.length] ?? '' }),
    };
  };
  const varies = order.paths !== undefined || order.tokens !== undefined;
  return withClients(order, clients =>
    counted(order, pause, async amount => {
      const times: number[] = [];
      const done = Promise.withResolvers<void>();
      const until = performance.now() + order.limitMs;
      let left = amount;
      let open = 0;
      const next = (client: Client): void => {
        const started = performance.now();
        if (left <= 0 || started > until) {
          if (open === 0) done.resolve();
          return;
        }
        left -= 1;
        open += 1;
        let received = 0;
        const id = client.call(
          {
            data: bytes => {
              received += bytes;
            },
            end: () => {
              if (received !== body.byteLength)
                throw new Error(`answered with ${received} bytes, not ${body.byteLength}`);
              open -= 1;
              times.push(performance.now() - started);
              next(client);
            },
          },
          varies ? varying() : undefined,
        );
        client.frames.data(id, body, true);
      };
      for (const client of clients) for (let lane = 0; lane < (order.depth ?? 1); lane += 1) next(client);
      await done.promise;
      return { amount: times.length, times };
    }),
  );
}

/** One stream that both sides talk on: so many messages on the way at a time, each answered by its echo. */
export function pingPong(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const ping = message(order.messageBytes ?? pingBytes, 'E');
  return withClients(order, async ([client]) => {
    if (client === undefined) throw new Error('no connection');
    let onMessage = (): void => {};
    let received = 0;
    const id = client.call({
      data: bytes => {
        received += bytes;
        for (; received >= ping.byteLength; received -= ping.byteLength) onMessage();
      },
      end: () => {
        throw new Error('the stream ended early');
      },
    });
    return counted(order, pause, async amount => {
      const times: number[] = [];
      const sent: number[] = [];
      const done = Promise.withResolvers<void>();
      const until = performance.now() + order.limitMs;
      let left = amount;
      const next = (): void => {
        const now = performance.now();
        if (left > 0 && now < until) {
          left -= 1;
          sent.push(now);
          client.frames.data(id, ping);
        } else if (times.length === sent.length) done.resolve();
      };
      onMessage = () => {
        times.push(performance.now() - (sent[times.length] ?? Number.NaN));
        next();
      };
      for (let lane = 0; lane < (order.depth ?? 1); lane += 1) next();
      await done.promise;
      return { amount: times.length, times };
    });
  });
}

/** Many streams that each say something once a second, not all at once. */
export function longStreams(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const ping = message(order.messageBytes ?? pingBytes, 'E');
  return withClients(order, async clients => {
    const streams = clients.flatMap(client =>
      Array.from({ length: order.depth ?? 1 }, () => {
        const stream = {
          sentAt: 0,
          received: 0,
          heard: (_milliseconds: number): void => {},
          say: (): void => {},
        };
        const id = client.call({
          data: bytes => {
            stream.received += bytes;
            if (stream.received < ping.byteLength) return;
            stream.received -= ping.byteLength;
            stream.heard(performance.now() - stream.sentAt);
          },
          end: () => {
            throw new Error('a stream ended early');
          },
        });
        stream.say = () => {
          stream.sentAt = performance.now();
          client.frames.data(id, ping);
        };
        return stream;
      }),
    );
    return counted(order, pause, async amount => {
      const times: number[] = [];
      const done = Promise.withResolvers<void>();
      const started = performance.now();
      let said = 0;
      for (const stream of streams) {
        stream.heard = milliseconds => {
          times.push(milliseconds);
          if (times.length === amount) done.resolve();
        };
      }
      const timer = setInterval(() => {
        const due = Math.min(amount, ((performance.now() - started) / 1_000) * streams.length);
        for (; said < due; said += 1) streams[said % streams.length]?.say();
        if (said === amount) clearInterval(timer);
      }, 1);
      try {
        await done.promise;
      } finally {
        clearInterval(timer);
      }
      return { amount, times };
    });
  });
}

/** A stream that takes what is sent and says at its end that it came. `pieces` are sent over and over. */
function push(client: Client, pieces: readonly Buffer[], count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let received = 0;
    const id = client.call({
      data: bytes => {
        received += bytes;
      },
      end: () => {
        stop();
        if (sent === count && received === messageHeaderBytes + 1) resolve();
        else reject(new Error(`ended after ${sent} of ${count} pieces, with ${received} bytes`));
      },
    });
    const fill = (): void => {
      while (sent < count) {
        const next = pieces[sent % pieces.length] as Buffer;
        if (client.frames.room(id) < next.byteLength) return;
        sent += 1;
        client.frames.data(id, next, sent === count);
      }
    };
    const stop = client.onRoom(fill);
    fill();
  });
}

/** Messages one way, as many as the way takes. */
export function flood(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const piece = message(order.messageBytes ?? 1024, 'S');
  return withClients(order, ([client]) =>
    counted(order, pause, async amount => {
      await push(client as Client, [piece], amount);
      return { amount };
    }),
  );
}

const bulkMessageBytes = 4 * maxFrameBytes;

/** Messages of 64 KiB, in four frames each. */
export function bulkUp(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const whole = message(bulkMessageBytes - messageHeaderBytes, 'S');
  const pieces = Array.from({ length: 4 }, (_, index) =>
    whole.subarray(index * maxFrameBytes, (index + 1) * maxFrameBytes),
  );
  return withClients(order, ([client]) =>
    counted(order, pause, async amount => {
      await push(client as Client, pieces, amount / maxFrameBytes);
      return { amount };
    }),
  );
}

export function bulkDown(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  return withClients(order, ([client]) =>
    counted(order, pause, async amount => {
      await pull(client as Client, amount);
      return { amount };
    }),
  );
}

function pull(client: Client, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    const id = client.call({
      data: more => {
        received += more;
      },
      end: () =>
        received === bytes ? resolve() : reject(new Error(`received ${received} of ${bytes} bytes`)),
    });
    client.frames.data(id, message(16, 'D', bytes), true);
  });
}

/** A connection that has carried one call: both of the proxy's legs are up. */
async function openThrough(order: LoadOrder): Promise<Client> {
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const client = await Client.open(order, failed.reject);
  const body = message(order.messageBytes ?? pingBytes, 'E');
  const answer = new Promise<void>((resolve, reject) => {
    let received = 0;
    const id = client.call({
      data: bytes => {
        received += bytes;
      },
      end: () =>
        received === body.byteLength ? resolve() : reject(new Error(`answered with ${received} bytes`)),
    });
    client.frames.data(id, body, true);
  });
  await Promise.race([answer, failed.promise]);
  return client;
}

/** A new connection for each call, a few side by side. */
export function connections(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  return counted(order, pause, async amount => {
    const times: number[] = [];
    const until = performance.now() + order.limitMs;
    let left = amount;
    const lane = async (): Promise<void> => {
      while (left > 0 && performance.now() < until) {
        left -= 1;
        const started = performance.now();
        const client = await openThrough(order);
        times.push(performance.now() - started);
        client.close();
      }
    };
    await Promise.all(Array.from({ length: order.connections ?? 1 }, lane));
    return { amount: times.length, times };
  });
}

/** Connections that have carried a call and rest, beside those of the warm-up: what they cost is memory. */
export async function idle(order: LoadOrder, pause: Pause): Promise<LoadResult> {
  const hold = async (count: number): Promise<Client[]> => {
    const clients: Client[] = [];
    for (let number = 0; number < count; number += 1) clients.push(await openThrough(order));
    return clients;
  };
  // They stay: a closed one would leave its memory to be used again, and that would cost nothing.
  const before = await hold(order.warmUp);
  await pause('warm');
  const started = performance.now();
  const clients = await hold(order.amount);
  await pause('held');
  for (const client of [...before, ...clients]) client.close();
  return { milliseconds: performance.now() - started, amount: order.amount };
}
