import { readFileSync } from 'node:fs';
import type { LogLine } from './e2e-program.ts';
import type { Gateway, World } from './e2e-world.ts';

/** Rewrites a gateway's config by its JSON. */
export function rewriteConfig(
  world: World,
  gateway: Gateway,
  change: (config: Record<string, never>) => void,
): void {
  const config = JSON.parse(readFileSync(gateway.config, 'utf8'));
  change(config);
  world.file(gateway.config.slice(world.directory.length + 1), JSON.stringify(config, null, 2));
}

/** The name of a gateway's policy file in its world. */
export function policyFile(world: World, gateway: Gateway): string {
  return gateway.config.slice(world.directory.length + 1).replace(/\.json$/, '.cedar');
}

/** Waits for the outcome of the next reload after so many log lines. */
export function outcome(gateway: Gateway, after: number): Promise<LogLine> {
  return gateway.program.logged(
    ({ msg }) => msg === 'config reloaded' || msg === 'the new config is no good: the old one stays in force',
    'the outcome of a reload',
    after,
  );
}
