import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Browser {
  /** What it said to standard error, for a test that fails. */
  text(): string;
  close(): Promise<void>;
}

const flags = [
  '--headless=new',
  // Tests may run as root, which Chromium's sandbox does not do; nothing but our own page is ever opened.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--no-first-run',
  '--no-default-browser-check',
  '--password-store=basic',
];

/** Opens a page in a Chromium with a profile of its own, in which these names are this machine and no others exist. */
export async function openPage(url: string, names: readonly string[]): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'lw-web-'));
  const rules = [...names.map(name => `MAP ${name} 127.0.0.1`), 'MAP * ~NOTFOUND', 'EXCLUDE 127.0.0.1'];
  const child = spawn(
    'chromium',
    [...flags, `--user-data-dir=${profile}`, `--host-resolver-rules=${rules.join(', ')}`, url],
    // A group of its own, so that all of its processes can be ended.
    { detached: true, stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH, HOME: profile } },
  );
  let text = '';
  child.stderr.setEncoding('utf8').on('data', chunk => {
    text = `${text}${chunk}`.slice(-20_000);
  });
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()));
  // Rejects where there is no such program.
  await once(child, 'spawn');
  return {
    text: () => text,
    close: async () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await ended;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
