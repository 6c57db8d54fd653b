import { createRequire } from 'node:module';
import * as cedar from '@cedar-policy/cedar-wasm/nodejs';
import { LockwireError, messageOf } from '../../core/errors.ts';

type Engine = typeof cedar;

let engine: Engine = cedar;
let generation = 1;

/** Rises when the engine is replaced: what was kept in the one before is gone. */
export function engineGeneration(): number {
  return generation;
}

/**
 * Asks Cedar. Where it breaks (a trap of its code, a stack used up) its memory stays in disorder and every later call
 * fails as well: so another takes its place, and the call throws `config`.
 */
export function askEngine<T>(ask: (engine: Engine) => T): T {
  try {
    return ask(engine);
  } catch (error) {
    if (!isBreak(error)) throw error;
    engine = newEngine();
    generation += 1;
    throw new LockwireError('config', `Cedar broke on this and was started anew: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function isBreak(error: unknown): boolean {
  return error instanceof Error && (error.name === 'RuntimeError' || error.name === 'RangeError');
}

/** The package makes its one engine as it is loaded, and offers nothing else: so it is loaded again (20 ms). */
function newEngine(): Engine {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@cedar-policy/cedar-wasm/nodejs');
  delete require.cache[path];
  return require(path) as Engine;
}
