import { readFileSync } from 'node:fs';
import t from 'tap';
import * as coreLimits from '../../../lib/core/limits.ts';
import { closeCodes } from '../../../lib/core/session.ts';
import { defaultDetachedLimits } from '../../../lib/gateway-resume.ts';
import { defaultRedial } from '../../../lib/tunnel/client.ts';
import { defaultExposerLimits } from '../../../lib/tunnel/exposers.ts';
import { defaultInstanceLimits } from '../../../lib/tunnel/instances.ts';
import { defaultTunnelLimits, defaultWindowPoolLimits, exposeLimits } from '../../../lib/tunnel/options.ts';
import * as wireLimits from '../../../lib/wire/tunnel/limits.ts';
import { messages } from '../../../lib/wire/tunnel/messages.ts';
import { example, exampleBytes } from '../../support/tunnel-example.ts';
import { FrameCollector } from '../../support/tunnel-frames.ts';

/** docs/tunnel.md is the specification: what it says in tables and hex is what the program does. */
const page = readFileSync(new URL('../../../docs/tunnel.md', import.meta.url), 'utf8');

/** Rows of all tables, as their cells. */
const rows = page
  .split('\n')
  .filter(line => line.startsWith('|'))
  .map(line =>
    line
      .slice(1, -1)
      .split('|')
      .map(cell => cell.trim()),
  );

const named = (name: string, cell = 0): string[] => rows.find(row => row[cell] === `\`${name}\``) ?? [];

t.test('the worked example is what the codec writes, and reads', async t => {
  const written = page.match(/<!-- example -->\n([\s\S]*?)\n<!-- \/example -->/)?.[1];
  t.equal(written, example());
  const dialler = new FrameCollector().push(exampleBytes('▶'));
  const gateway = new FrameCollector().push(exampleBytes('◀'));
  t.ok(dialler.decoder.atBoundary && gateway.decoder.atBoundary);
  const acks = (frames: FrameCollector): unknown =>
    frames.items.flatMap(item => ('frame' in item && item.frame.type === 'ack' ? [item.frame.received] : []));
  const goAway = 3;
  t.strictSame(
    acks(gateway),
    [dialler.decoder.received - goAway],
    'the Acks of the example say what was received',
  );
  t.strictSame(acks(dialler), [gateway.decoder.received]);
});

t.test(
  'the table of frames has number, what it speaks of, whether it is sequenced, and all fields',
  async t => {
    for (const message of messages) {
      const [number, , , on, sequenced, fields] = named(message.type, 1);
      t.equal(number, String(message.number), message.type);
      t.equal(on, message.on);
      t.equal(sequenced, message.sequenced ? 'yes' : 'no');
      t.equal(fields, message.fields.map(({ name }) => `\`${name}\``).join(', '));
    }
  },
);

t.test('the table of close codes has each of them by its number', async t => {
  for (const [number, code] of closeCodes.entries()) t.equal(named(code, 1)[0], String(number), code);
});

t.test('the tables of limits have each limit with its default, and no other', async t => {
  const limits: Record<string, unknown> = {
    ...defaultTunnelLimits,
    ...defaultWindowPoolLimits,
    ...defaultDetachedLimits,
    ...defaultRedial,
    ...defaultExposerLimits,
    ...defaultInstanceLimits,
    ...wireLimits,
    maxTokenBytes: coreLimits.maxTokenBytes,
    maxTargetNameBytes: coreLimits.maxTargetNameBytes,
  };
  for (const [name, value] of Object.entries(limits)) {
    t.equal(named(name)[1], Number(value).toLocaleString('en-US'), name);
  }
  for (const [name, value] of Object.entries(exposeLimits)) {
    const wider = rows.filter(row => row[0] === `\`${name}\`` && row.length === 2);
    t.same(wider, [[`\`${name}\``, value.toLocaleString('en-US')]], `${name} of an expose`);
  }
  const section = page.slice(page.indexOf('## 10. Limits'), page.indexOf('## 11.'));
  for (const [, name] of section.matchAll(/^\| `(\w+)` \|/gm)) t.ok(name && name in limits, `${name} exists`);
});

t.test('every link inside the page leads somewhere', async t => {
  const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    String(heading)
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
  for (const [, anchor] of page.matchAll(/\]\(#([^)]+)\)/g))
    t.ok(headings.includes(String(anchor)), String(anchor));
});
