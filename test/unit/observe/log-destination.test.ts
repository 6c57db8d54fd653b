import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import t from 'tap';

const module = new URL('../../../lib/observe/log-destination.ts', import.meta.url).href;
const opening = `
  import { openLogDestination } from '${module}';
  import { writeSync } from 'node:fs';
  const open = (fd, maxQueueBytes) =>
    openLogDestination(fd, { maxQueueBytes, describeDrop: dropped => JSON.stringify({ dropped }) + '\\n' });
  const turn = () => new Promise(resolve => setImmediate(resolve));
`;

function run(program: string) {
  const options = ['--input-type=module', '--eval', `${opening}${program}`];
  return spawn(process.execPath, options, { stdio: ['pipe', 'pipe', 'pipe'] });
}

function collect(stream: Readable): { text: string } {
  const collected = { text: '' };
  stream.on('data', (chunk: Buffer) => {
    collected.text += chunk.toString();
  });
  return collected;
}

t.test(
  'a reader that stops costs 64 KiB: lines beyond it are dropped, counted and told, and the log goes on',
  async t => {
    const child = run(`
    const log = open(2, 65536);
    for (let n = 0; n < 20000; n += 1) {
      log.write(JSON.stringify({ n, pad: 'x'.repeat(100) }) + '\\n');
      if (n % 100 === 0) await turn();
    }
    writeSync(1, process.memoryUsage().arrayBuffers < 32e6 ? 'written' : 'grown');
    process.stdin.once('data', async () => {
      await log.flush();
      log.write('{"last":true}\\n');
      await log.flush();
      process.exit(0);
    });`);
    // Nobody reads standard error until the child has written all.
    const [first] = await once(child.stdout, 'data');
    t.equal(String(first), 'written');
    const log = collect(child.stderr);
    child.stdin.write('x');
    await once(child, 'close');
    const lines = log.text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    const seen = lines.filter(line => 'n' in line).length;
    const dropped = lines.reduce((sum, line) => sum + (line.dropped ?? 0), 0);
    t.ok(seen > 0 && seen < 2000, `${seen} lines came through`);
    t.equal(seen + dropped, 20_000, 'each line was written or counted');
    t.strictSame(lines.at(-1), { last: true });
  },
);

t.test('a reader that never reads does not hold up the end of the process', async t => {
  const child = run(`
    const log = open(2);
    for (let n = 0; n < 2000; n += 1) log.write('x'.repeat(1000) + '\\n');
    const before = performance.now();
    await log.flush();
    writeSync(1, String(performance.now() - before));
    process.exit(7);`);
  const waited = collect(child.stdout);
  const [code] = await once(child, 'exit');
  child.stderr.destroy();
  t.equal(code, 7);
  t.ok(Number(waited.text) >= 490 && Number(waited.text) < 5000, `flush waited ${waited.text} ms`);
});

t.test('a reader that went away does not end the process', async t => {
  const child = run(`
    const log = open(2);
    for (let n = 0; n < 100; n += 1) {
      log.write('x'.repeat(1000) + '\\n');
      await turn();
    }
    await log.flush();
    writeSync(1, 'alive');`);
  child.stderr.destroy();
  const output = collect(child.stdout);
  const [code] = await once(child, 'close');
  t.equal(code, 0);
  t.equal(output.text, 'alive');
});

t.test(
  'a full disk does not end the process',
  { skip: process.platform !== 'linux' && 'needs /dev/full' },
  async t => {
    const full = openSync('/dev/full', 'w');
    t.teardown(() => closeSync(full));
    const program = `${opening}
    const log = open(3);
    for (let n = 0; n < 100; n += 1) log.write('line\\n');
    await log.flush();
    writeSync(1, 'alive');`;
    const result = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'pipe', full],
      encoding: 'utf8',
      timeout: 20_000,
    });
    t.equal(result.status, 0, result.stderr);
    t.equal(result.stdout, 'alive');
  },
);
