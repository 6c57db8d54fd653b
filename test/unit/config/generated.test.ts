import { readFileSync } from 'node:fs';
import t from 'tap';
import { configJsonSchema, configReference } from '../../../scripts/config-reference.ts';
import { makeConfigFiles } from '../../support/config-files.ts';

const read = (path: string): string =>
  readFileSync(new URL(`../../../docs/${path}`, import.meta.url), 'utf8');

t.test('the reference and the JSON Schema are what the schema prints', async t => {
  t.equal(read('configuration.md'), configReference());
  t.equal(read('config.schema.json'), configJsonSchema());
});

t.test('every setting of the JSON Schema is described', async t => {
  const bare: string[] = [];
  const walk = (schema: Record<string, never>, path: string): void => {
    for (const [key, property] of Object.entries<Record<string, never>>(schema.properties ?? {})) {
      if (!property.description) bare.push(`${path}.${key}`);
      walk(property.items ?? property, `${path}.${key}`);
    }
  };
  walk(JSON.parse(configJsonSchema()), '');
  t.strictSame(bare, []);
});

t.test('the example of the reference loads', async t => {
  const files = await makeConfigFiles();
  t.teardown(() => files.remove());
  for (const name of ['workloads-ca.pem', 'internal.pem']) files.write(name, files.authority.certPem);
  files.write('workloads.crl', await files.authority.crl({ serials: [] }));
  const example = /```json\n([\s\S]*?)```/.exec(read('configuration.md'))?.[1] ?? '';
  t.equal((await files.load(example)).targets.length, 2);
});
