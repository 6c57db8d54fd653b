const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Durations as a config may write them: whole number and unit. */
export const durationPattern: RegExp = /^(0|[1-9][0-9]{0,8})(ms|s|m|h|d)$/;

/** `"30s"` → 30000; undefined where the text is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text);
  const scale = unitMs[match?.[2] ?? ''];
  return scale === undefined ? undefined : Number(match?.[1]) * scale;
}

/** 90000 → `90s`: the largest unit that divides it. */
export function formatDuration(durationMs: number): string {
  const units = Object.entries(unitMs).reverse();
  const [name, scale] = units.find(([, unit]) => durationMs >= unit && durationMs % unit === 0) ?? ['ms', 1];
  return `${durationMs / scale}${name}`;
}
