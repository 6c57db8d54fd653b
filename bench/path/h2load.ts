// h2load, nghttp2's own load, beside ours: it shows no client certificate, so it sends a token.
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { callPath, message } from './http2-fields.ts';
import { percentiles } from './load-connection.ts';
import { type Material, serverName } from './material.ts';
import type { LoadResult } from './messages.ts';
import { loadCore, onCore } from './program.ts';
import type { RowLoad } from './rows.ts';

type H2loadOrder = Extract<RowLoad, { by: 'h2load' }>;

/** What it prints when it begins to count, and when it stops. */
const began = 'Main benchmark duration is started';
const over = 'Main benchmark duration is over';

export async function runH2load(
  order: H2loadOrder,
  port: number,
  material: Material,
  look: (state: 'warm' | 'done') => void,
): Promise<LoadResult> {
  const body = material.file('h2load-body', message(order.messageBytes, 'E').toString('latin1'));
  const log = join(material.folder, 'h2load.log');
  rmSync(log, { force: true });
  const output = await run(
    [
      ...['--threads=1', `--clients=${order.connections}`, `--max-concurrent-streams=${order.depth}`],
      ...[`--duration=${order.seconds}`, `--warm-up-time=${order.warmUpSeconds}`, `--log-file=${log}`],
      ...[`--connect-to=127.0.0.1:${port}`, '--npn-list=h2', `--data=${body}`],
      ...['--header=te: trailers', '--header=content-type: application/grpc'],
      `--header=authorization: Bearer ${material.tokens.all[0]}`,
      `https://${serverName}${callPath}`,
    ],
    look,
  );
  const counts = /(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(output);
  const [done, succeeded, failed] = (counts ?? []).slice(1).map(Number);
  if (done === undefined || done === 0 || failed !== 0 || succeeded !== done) {
    throw new Error(`h2load did not go through:\n${output}`);
  }
  // Start, status, and microseconds: of the requests that count.
  const times = readFileSync(log, 'latin1')
    .trim()
    .split('\n')
    .map(line => Number(line.split('\t')[2]) / 1_000);
  return { milliseconds: order.seconds * 1_000, amount: done, ...percentiles(times) };
}

function run(args: readonly string[], look: (state: 'warm' | 'done') => void): Promise<string> {
  const [command, commandArgs] = onCore(loadCore, 'h2load', args);
  const child = spawn(command, commandArgs, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let next: 'warm' | 'done' | undefined = 'warm';
  const hear = (data: Buffer): void => {
    output += data.toString();
    if (next === 'warm' && output.includes(began)) {
      look('warm');
      next = 'done';
    }
    if (next === 'done' && output.includes(over)) {
      look('done');
      next = undefined;
    }
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', code => {
      if (code === 0 && next === undefined) resolve(output);
      else reject(new Error(`h2load ended with ${code}:\n${output}`));
    });
  });
}
