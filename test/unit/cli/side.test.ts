import t from 'tap';
import { connectCommand, exposeCommand } from '../../../lib/cli/side.ts';
import { clientSchema, ownKeys } from '../../../lib/config/client-schema.ts';
import { toJsonSchema } from '../../../lib/config/json-schema.ts';

/** Of the file alone. */
const withoutFlag = ['$schema', 'drainTimeout', 'limits'];
/** Of the command line alone. */
const withoutKey = ['config', 'enroll'];

const settings = Object.keys(toJsonSchema(clientSchema).properties ?? {});
const flag = (key: string): string => key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);

for (const [role, command] of [
  ['connect', connectCommand],
  ['expose', exposeCommand],
] as const) {
  t.test(`each setting that ${role} knows is a flag of its own, and the other way round`, async t => {
    const foreign = ownKeys[role === 'connect' ? 'expose' : 'connect'] as readonly string[];
    const expected = settings.filter(key => !withoutFlag.includes(key) && !foreign.includes(key)).map(flag);
    t.ok(expected.length >= 11, `${expected.length} settings`);
    t.same(Object.keys(command.options).sort(), [...expected, ...withoutKey].sort());
  });
}
