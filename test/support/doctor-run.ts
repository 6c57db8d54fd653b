import { join } from 'node:path';
import { loadClientConfig } from '../../lib/config/client.ts';
import { systemClock } from '../../lib/core/clock.ts';
import { diagnose } from '../../lib/doctor.ts';
import type { Part, PartReport } from '../../lib/doctor-report.ts';
import { run } from './e2e-program.ts';
import type { World } from './e2e-world.ts';

export interface Told {
  readonly first: Part | null;
  readonly parts: ReadonlyMap<Part, PartReport>;
  /** All that is printed. */
  readonly text: string;
}

export interface DoctorSettings {
  readonly role: 'connect' | 'expose';
  readonly gateway: string;
  readonly token: string;
  readonly target?: string;
  readonly ca?: string;
  readonly to?: string;
  readonly serverName?: string;
  readonly instanceKeyFile?: string;
  readonly env?: Readonly<Record<string, string>>;
}

let files = 0;

function flagsOf(world: World, settings: DoctorSettings): Record<string, string> {
  files += 1;
  const { env: _, token, ...rest } = settings;
  return {
    target: 'autogen',
    ca: join(world.directory, 'ca.pem'),
    serverName: 'gateway.example',
    instanceKeyFile: join(world.directory, `doctor-${files}.key`),
    ...rest,
    tokenFile: world.file(`doctor-token-${files}`, token),
  };
}

/** What the doctor finds, without a process for each question. */
export async function doctor(world: World, settings: DoctorSettings): Promise<Told> {
  const { role, ...flags } = flagsOf(world, settings);
  const config = await loadClientConfig(role === 'expose' ? 'expose' : 'connect', flags, {
    env: settings.env ?? {},
    nowMs: Date.now(),
    listening: false,
  });
  const lines: PartReport[] = [];
  const diagnosis = await diagnose(config, { clock: systemClock, tell: report => lines.push(report) });
  const parts = new Map(diagnosis.parts.map(report => [report.part, report]));
  return { first: diagnosis.first?.part ?? null, parts, text: JSON.stringify([lines, diagnosis]) };
}

/** The command itself. */
export function runDoctor(
  world: World,
  settings: DoctorSettings,
  ...more: readonly string[]
): ReturnType<typeof run> {
  const flags = Object.entries(flagsOf(world, settings)).flatMap(([key, value]) => [
    `--${key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`,
    value,
  ]);
  return run(['doctor', ...flags, ...more], settings.env ? { env: settings.env } : {});
}
