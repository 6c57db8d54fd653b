// AutoGen's wire contract as a constant, so that no .proto file is read (or parsed) at run time.
import { join } from 'node:path';
import protobuf from 'protobufjs';

/** The text of lib/gen/autogen.ts, from proto/agent_worker.proto and what it imports. */
export function autogenDescriptor(root: string): string {
  const schema = new protobuf.Root();
  // google/protobuf/any.proto and timestamp.proto come with protobufjs.
  schema.resolvePath = (_origin, target) =>
    target.startsWith('google/protobuf/') ? target : join(root, 'proto', target);
  schema.loadSync('agent_worker.proto').resolveAll();
  const json = JSON.stringify(schema.toJSON(), null, 2);
  return [
    "// Written by 'npm run generate' from proto/agent_worker.proto and proto/cloudevent.proto; never edited.",
    `export const autogenDescriptor: { readonly nested: Readonly<Record<string, unknown>> } = ${json};`,
    '',
  ].join('\n');
}
