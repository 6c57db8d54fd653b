import { z } from 'zod';
import type { ConfigPath } from './problem.ts';

/** The parts of a JSON Schema (2020-12) that our schemas use. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  /** `{}` where the setting is known and refused. */
  readonly not?: JsonSchema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What the file may hold, before defaults are filled in. */
export function toJsonSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
}

/** The keys that an object at this path may have, without those that this build refuses anyway. */
export function knownKeys(schema: JsonSchema, path: ConfigPath): readonly string[] {
  let current: JsonSchema | undefined = schema;
  for (const part of path)
    current = typeof part === 'number' ? current?.items : propertiesOf(current)?.[part];
  return Object.entries(propertiesOf(current) ?? {})
    .filter(([, property]) => property.not === undefined)
    .map(([key]) => key);
}

/** Where a value may be an object or something else, those of the object. */
function propertiesOf(schema: JsonSchema | undefined): JsonSchema['properties'] {
  return schema?.properties ?? schema?.anyOf?.find(({ properties }) => properties !== undefined)?.properties;
}
