import { z } from 'zod';
import { JsonDocument } from './json-document.ts';
import { toJsonSchema } from './json-schema.ts';
import { ConfigError } from './problem.ts';
import { readTextFile } from './read-file.ts';
import { reportIssues } from './report-issues.ts';

/** One line of a policy's tests: who asks for what, and what the answer must be. */
export interface PolicyTest {
  readonly name: string;
  /** `user:corp:alice`, or `workload:ci:spiffe://example/job`. */
  readonly principal: string;
  readonly groups?: readonly string[] | undefined;
  readonly email?: string | undefined;
  readonly action: string;
  readonly target: string;
  /** Of the action `call`: all three. */
  readonly method?: string | undefined;
  readonly host?: string | undefined;
  readonly path?: string | undefined;
  /** Of the action `message`; which of the others it has depends on it. */
  readonly operation?: string | undefined;
  readonly agentType?: string | undefined;
  readonly agentKey?: string | undefined;
  readonly topicType?: string | undefined;
  readonly topicSource?: string | undefined;
  readonly prefix?: boolean | undefined;
  readonly expect: 'allow' | 'deny';
}

/** Most tests in a file. */
const maxPolicyTests = 10_000;

const testsSchema = z
  .array(
    z.strictObject({
      name: z.string(),
      principal: z.string(),
      groups: z.array(z.string()).optional(),
      email: z.string().optional(),
      action: z.string().default('connect'),
      target: z.string(),
      method: z.string().optional(),
      host: z.string().optional(),
      path: z.string().optional(),
      operation: z.string().optional(),
      agentType: z.string().optional(),
      agentKey: z.string().optional(),
      topicType: z.string().optional(),
      topicSource: z.string().optional(),
      prefix: z.boolean().optional(),
      expect: z.enum(['allow', 'deny']),
    }),
  )
  .min(1)
  .max(maxPolicyTests);

/** Reads a file of tests, JSON with comments. Throws ConfigError with all that is wrong. */
export async function loadPolicyTests(path: string): Promise<readonly PolicyTest[]> {
  const document = new JsonDocument(path, await readTextFile(path));
  if (document.failed) throw new ConfigError(document.problems);
  const parsed = testsSchema.safeParse(document.value, { reportInput: true });
  if (parsed.success) return parsed.data;
  reportIssues(document, parsed.error.issues, toJsonSchema(testsSchema));
  throw new ConfigError(document.problems);
}
