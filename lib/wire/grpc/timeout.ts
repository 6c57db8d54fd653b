/** The grpc-timeout header: at most 8 digits and a unit. */

const form = /^([0-9]{1,8})([HMSmun])$/;

/** In milliseconds, with fractions; undefined where it is no timeout. 0 has run out already. */
export function parseGrpcTimeout(text: string): number | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const value = Number(match[1]);
  switch (match[2]) {
    // Divided, as 1e-6 and 1e-3 are no exact numbers: 300u is 0.3 ms and not a hair more.
    case 'n':
      return value / 1e6;
    case 'u':
      return value / 1e3;
    case 'm':
      return value;
    case 'S':
      return value * 1_000;
    case 'M':
      return value * 60_000;
    default:
      return value * 3_600_000;
  }
}
