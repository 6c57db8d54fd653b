import { join } from 'node:path';
import { run } from './e2e-program.ts';
import type { World } from './e2e-world.ts';

export interface Part {
  readonly part: string;
  readonly state: 'ok' | 'failed' | 'skipped';
  readonly seen: string;
  readonly advice?: string;
}

export interface Told {
  readonly code: number | null;
  readonly first: string | null;
  readonly parts: ReadonlyMap<string, Part>;
  /** All that was printed. */
  readonly text: string;
}

export interface DoctorSettings {
  readonly role: 'connect' | 'expose';
  readonly gateway: string;
  readonly token: string;
  readonly target?: string;
  readonly ca?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

let files = 0;

/** Runs `lockwire doctor`, as lines or as JSON. */
export async function doctor(
  world: World,
  settings: DoctorSettings,
  form: 'json' | 'lines' = 'json',
): Promise<Told> {
  files += 1;
  const { role, gateway, token, target = 'autogen', ca = join(world.directory, 'ca.pem') } = settings;
  const result = await run(
    [
      ...['doctor', '--role', role, '--gateway', gateway, '--target', target, '--ca', ca],
      ...['--server-name', 'gateway.example', '--token-file', world.file(`doctor-token-${files}`, token)],
      ...['--instance-key-file', join(world.directory, `doctor-${files}.key`)],
      ...(form === 'json' ? ['--json'] : []),
      ...(settings.args ?? []),
    ],
    settings.env ? { env: settings.env } : {},
  );
  const text = `${result.out}\n${result.err}`;
  if (form === 'lines') return { code: result.code, first: null, parts: new Map(), text };
  try {
    const { first, parts } = JSON.parse(result.out) as { first: string | null; parts: Part[] };
    return { code: result.code, first, parts: new Map(parts.map(part => [part.part, part])), text };
  } catch {
    throw new Error(`no JSON: ${text}`);
  }
}
