// docs/configuration.md, printed from the schemas that check the files.
import { clientSchema } from '../lib/config/client-schema.ts';
import { durationPattern } from '../lib/config/duration.ts';
import { gatewaySchema } from '../lib/config/gateway-schema.ts';
import { type JsonSchema, toJsonSchema } from '../lib/config/json-schema.ts';

const intro = `# Configuration

<!-- Written by \`npm run generate\` from lib/config/; edit it there. -->

Files are JSON; comments and trailing commas are allowed, a key may stand only once, and the file may have 1 MiB.
Paths are relative to the file that names them. Durations are a whole number and a unit: \`ms\`, \`s\`, \`m\`, \`h\` or \`d\`.
Names have 1 to 128 letters, digits, \`.\`, \`_\` or \`-\`. Private keys and token files must be readable by their owner only.

\`lockwire check FILE\` reads a gateway's file and everything that it names, and says all that is wrong at once, with line
and path. An unknown key is an error. So is a setting that is known but that this build cannot enforce: it is never ignored.

For completion in an editor, name the schema in the file: \`"$schema": "./docs/config.schema.json"\`.
`;

const example = `## An example

\`\`\`json
{
  "listeners": [
    { "name": "public", "bind": "0.0.0.0:8443", "tls": { "cert": "gateway.pem", "key": "gateway.key", "clientCertificates": "optional" } }
  ],
  "identity": {
    "issuers": [ { "name": "corp", "issuer": "https://idp.example", "audience": "lockwire", "token": "access", "groups": "groups" } ],
    "certificates": [ { "name": "workloads", "ca": "workloads-ca.pem", "crl": "workloads.crl" } ]
  },
  "targets": [
    { "name": "autogen", "dialect": "autogen-rpc", "via": "tunnel" },
    { "name": "legacy", "protocol": "tcp", "serverNames": ["legacy.example"], "dial": "tls://10.0.0.5:7443", "ca": "internal.pem" }
  ],
  "policy": { "files": ["policy.cedar"] },
  "limits": { "sessionsPerPrincipal": 64 },
  "store": { "kind": "embedded", "path": "./data" },
  "admin": { "bind": "127.0.0.1:9443" },
  "drainTimeout": "10m"
}
\`\`\`
`;

/** The JSON Schema of the gateway's file, for editors. */
export function configJsonSchema(): string {
  return `${JSON.stringify(toJsonSchema(gatewaySchema), null, 2)}\n`;
}

/** `docs/configuration.md`. */
export function configReference(): string {
  return [
    intro,
    example,
    '## The gateway\n',
    section('', toJsonSchema(gatewaySchema)),
    '## connect and expose\n',
    'Each key but `limits` and `drainTimeout` is also a flag (`tokenFile` is `--token-file`); flags win.\n',
    section('', toJsonSchema(clientSchema)),
  ].join('\n');
}

/** A table of an object's settings, then the tables of the objects in it. */
function section(path: string, schema: JsonSchema): string {
  const properties = Object.entries(schema.properties ?? {});
  const enforced = properties.filter(([, property]) => property.not === undefined);
  const later = properties.filter(([, property]) => property.not !== undefined);
  const required = new Set(schema.required ?? []);
  const lines = ['| setting | value | without it | |', '|---|---|---|---|'];
  for (const [key, property] of enforced)
    lines.push(
      `| \`${key}\` | ${cell(valueText(property))} | ${absence(property, required.has(key))} | ${cell(property.description ?? '')} |`,
    );
  const parts = [`${lines.join('\n')}\n`];
  if (later.length > 0) {
    const names = later.map(([key, property]) => `\`${key}\` (${uncapitalised(property.description ?? '')})`);
    parts.push(`Known, but not enforced by this build and so an error: ${names.join(', ')}.\n`);
  }
  for (const [key, property] of enforced) {
    const inner = property.type === 'array' ? property.items : property;
    if (inner?.properties === undefined) continue;
    const place = `${path ? `${path}.` : ''}${key}${property.type === 'array' ? '[]' : ''}`;
    const about = inner.description ?? property.description ?? '';
    parts.push(`### \`${place}\`\n\n${about}\n`, section(place, inner));
  }
  return parts.join('\n');
}

function absence(property: JsonSchema, required: boolean): string {
  if (required) return '**required**';
  if (property.default === undefined || typeof property.default === 'object') {
    return Array.isArray(property.default) && property.default.length > 0
      ? `\`${JSON.stringify(property.default)}\``
      : '–';
  }
  return `\`${JSON.stringify(property.default)}\``;
}

function valueText(schema: JsonSchema): string {
  if (schema.enum !== undefined) return schema.enum.map(value => `\`${JSON.stringify(value)}\``).join(' or ');
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.anyOf !== undefined) return schema.anyOf.map(valueText).join(' or ');
  if (schema.type === 'array') {
    const items = schema.items ?? {};
    return items.properties === undefined ? `list of ${plural(items)}` : 'list of objects';
  }
  if (schema.type === 'integer') return `number, ${schema.minimum} to ${schema.maximum}`;
  if (schema.pattern === durationPattern.source) return 'duration';
  return schema.type === 'string' ? 'text' : String(schema.type ?? 'any');
}

function plural(items: JsonSchema): string {
  return items.enum === undefined ? 'texts' : valueText(items);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function uncapitalised(text: string): string {
  const bare = text.replace(/\.$/, '');
  return /^[A-Z][a-z]/.test(bare) ? `${bare.slice(0, 1).toLowerCase()}${bare.slice(1)}` : bare;
}
