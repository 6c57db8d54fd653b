import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { builtAtMs, version } from '../../../lib/core/build.ts';

const manifest = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', '..', '..', 'package.json'), 'utf8'),
) as { version: string };

t.test("the build's version is package.json's", async t => {
  t.equal(version, manifest.version);
});

t.test('the build is dated in the past, so that no honest clock is refused', async t => {
  t.ok(builtAtMs <= Date.now(), new Date(builtAtMs).toISOString());
});
