import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { AdaptiveWriter, type WriteSource } from '../../../lib/core/adaptive-writer.ts';
import { deferFromBytes, maxWriteBytes } from '../../../lib/core/limits.ts';
import { OutputBuffer } from '../../../lib/core/output-buffer.ts';
import type { Carrier } from '../../../lib/core/ports.ts';

/** A carrier that only writes, and is done when told to, or at once. */
class SlowCarrier implements Carrier {
  readonly writes: number[] = [];
  done: (() => void) | undefined;
  readonly #atOnce: boolean;

  constructor(atOnce = false) {
    this.#atOnce = atOnce;
  }

  write(chunks: readonly Uint8Array[], done: () => void): void {
    if (this.done) throw new Error('two writes in flight');
    this.writes.push(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
    if (this.#atOnce) done();
    else this.done = done;
  }

  finish(): void {
    const { done } = this;
    this.done = undefined;
    done?.();
  }

  start(): void {}
  end(): void {}
  destroy(): void {}
  pause(): void {}
  resume(): void {}
}

class Source implements WriteSource {
  readonly output = new OutputBuffer();
  writtenCalls = 0;
  onWritten: () => void = () => {};

  pendingBytes(): number {
    return this.output.byteLength;
  }

  take(maxBytes: number): readonly Uint8Array[] {
    return this.output.take(maxBytes);
  }

  written(): void {
    this.writtenCalls += 1;
    this.onWritten();
  }
}

function set(atOnce = false) {
  const carrier = new SlowCarrier(atOnce);
  const source = new Source();
  const writer = new AdaptiveWriter(carrier, source);
  const say = (bytes: number) => {
    source.output.append(Buffer.alloc(bytes));
    writer.wake();
  };
  return { carrier, source, writer, say };
}

t.test('1,000 chunks of 10 B of one task go out as one write, at its end', async t => {
  const { carrier, say, writer } = set();
  for (let i = 0; i < 1000; i += 1) say(10);
  t.same(carrier.writes, [], 'nothing within the task');
  await Promise.resolve();
  t.same(carrier.writes, [10_000]);
  t.equal(writer.idle, false);
  carrier.finish();
  t.equal(writer.idle, true);
});

t.test('12 KiB wait for the next immediate, with what the same round adds', async t => {
  const { carrier, say } = set();
  say(deferFromBytes);
  await Promise.resolve();
  t.same(carrier.writes, []);
  say(100);
  await immediate();
  t.same(carrier.writes, [deferFromBytes + 100]);
});

t.test('one byte less than 12 KiB does not wait', async t => {
  const { carrier, say } = set();
  say(deferFromBytes - 1);
  await Promise.resolve();
  t.same(carrier.writes, [deferFromBytes - 1]);
});

t.test('what comes while a write is in flight goes out in its callback, as one', async t => {
  const { carrier, source, say } = set();
  say(1);
  await Promise.resolve();
  say(2);
  say(3);
  await immediate();
  t.same(carrier.writes, [1]);
  carrier.finish();
  t.same(carrier.writes, [1, 5]);
  t.equal(source.writtenCalls, 1);
});

t.test('a write takes 128 KiB at most: 300 KiB go out as three', async t => {
  const { carrier, say } = set();
  say(300 * 1024);
  await Promise.resolve();
  await immediate();
  carrier.finish();
  carrier.finish();
  t.same(carrier.writes, [maxWriteBytes, maxWriteBytes, 300 * 1024 - 2 * maxWriteBytes]);
});

t.test('bytes that `written` itself produces start no second write beside the one that follows', async t => {
  const { carrier, source, say } = set();
  source.onWritten = () => {
    if (source.writtenCalls === 1) say(7);
  };
  say(1);
  await Promise.resolve();
  t.doesNotThrow(() => carrier.finish());
  await immediate();
  t.same(carrier.writes, [1, 7]);
});

t.test('a carrier that is done at once writes 100,000 times without a stack overflow', async t => {
  const { carrier, source, say, writer } = set(true);
  source.onWritten = () => {
    if (source.writtenCalls < 100_000) source.output.append(Buffer.from('x'));
  };
  say(1);
  await immediate();
  t.equal(carrier.writes.length, 100_000);
  t.equal(writer.idle, true);
});

t.test('after stop nothing is written, nor told', async t => {
  await t.test('while scheduled', async t => {
    const { carrier, say, writer } = set();
    say(1);
    writer.stop();
    await immediate();
    t.same(carrier.writes, []);
  });
  await t.test('while waiting for the immediate', async t => {
    const { carrier, say, writer } = set();
    say(20_000);
    await Promise.resolve();
    writer.stop();
    await immediate();
    t.same(carrier.writes, []);
  });
  await t.test('while in flight', async t => {
    const { carrier, source, say, writer } = set();
    say(1);
    await Promise.resolve();
    say(2);
    writer.stop();
    carrier.finish();
    await immediate();
    t.same(carrier.writes, [1]);
    t.equal(source.writtenCalls, 0);
  });
  await t.test('from within `written`', async t => {
    const { carrier, source, say, writer } = set();
    source.onWritten = () => writer.stop();
    say(1);
    await Promise.resolve();
    say(2);
    carrier.finish();
    t.same(carrier.writes, [1]);
  });
});
