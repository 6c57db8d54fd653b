import { adminAddressOf, adminGet } from './e2e-admin.ts';
import type { Program } from './e2e-program.ts';

/** Each sample of a program's metrics, by its name with its labels: `lockwire_x_total{target="y"}`. */
export async function metricsOf({ program }: { readonly program: Program }): Promise<Record<string, number>> {
  const { body } = await adminGet(await adminAddressOf(program), '/metrics');
  const samples = body.matchAll(/^(lockwire_[^ ]+) ([^ ]+)$/gm);
  return Object.fromEntries([...samples].map(([, name, value]) => [name, Number(value)]));
}

/** Asks until one has this value. */
export async function metricIs(
  of: { readonly program: Program },
  name: string,
  value: number,
): Promise<void> {
  while (((await metricsOf(of))[name] ?? 0) !== value) await new Promise(setImmediate);
}
