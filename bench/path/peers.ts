// The peers as this machine has them: their versions, and what to install where one is missing.
import { spawnSync } from 'node:child_process';
import { autogenVersion } from './autogen.ts';
import { envoyVersion } from './envoy-package.ts';
import { hasStreamModule } from './systems/nginx.ts';
import type { SystemName } from './systems/system.ts';

interface Tool {
  readonly command: string;
  readonly args: readonly string[];
  /** Finds the version in what it prints. */
  readonly version: RegExp;
  /** Of Debian and Ubuntu. */
  readonly packages: string;
}

const tools: Readonly<Record<string, Tool>> = {
  haproxy: { command: 'haproxy', args: ['-v'], version: /version (\d+[\d.]*\d)/, packages: 'haproxy' },
  nginx: {
    command: 'nginx',
    args: ['-v'],
    version: /nginx\/([\d.]+)/,
    packages: 'nginx libnginx-mod-stream',
  },
  nghttpx: {
    command: 'nghttpx',
    args: ['--version'],
    version: /nghttp2\/([\d.]+)/,
    packages: 'nghttp2-proxy',
  },
  h2load: {
    command: 'h2load',
    args: ['--version'],
    version: /nghttp2\/([\d.]+)/,
    packages: 'nghttp2-client',
  },
  envoy: { command: 'python3', args: ['-m', 'venv', '--help'], version: /usage/, packages: 'python3-venv' },
};

function look({ command, args, version }: Tool): string | undefined {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) return undefined;
  return version.exec(`${stdout}${stderr}`)?.[1] ?? version.exec(`${stdout}${stderr}`)?.[0];
}

/** `node` and OpenSSL are the machine's own: see its facts. */
export function peerVersions(wanted: readonly (SystemName | 'h2load')[]): Record<string, string> {
  const versions: Record<string, string> = {};
  for (const name of wanted) {
    const tool = tools[name];
    if (name === 'direct') versions.AutoGen = autogenVersion();
    if (tool !== undefined) versions[name] = name === 'envoy' ? envoyVersion : (look(tool) ?? 'none');
  }
  return versions;
}

/** A line for each that is missing. */
export function missingPeers(wanted: readonly (SystemName | 'h2load')[]): string[] {
  return wanted.flatMap(name => {
    const tool = tools[name];
    if (tool === undefined) return [];
    const there = look(tool) !== undefined && (name !== 'nginx' || hasStreamModule());
    return there ? [] : `${name} is not installed: 'apt-get install ${tool.packages}'`;
  });
}
