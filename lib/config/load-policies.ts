import { dirname, resolve } from 'node:path';
import { gatewaySchema } from './gateway-schema.ts';
import { JsonDocument } from './json-document.ts';
import { toJsonSchema } from './json-schema.ts';
import type { LoadedPolicy } from './loaded.ts';
import { Material } from './material.ts';
import { ConfigError } from './problem.ts';
import { readTextFile } from './read-file.ts';
import { reportIssues } from './report-issues.ts';

/** What policies are judged against: the names of a config, without its keys and certificates. */
export interface PolicyConfig {
  readonly policies: readonly LoadedPolicy[];
  readonly issuers: readonly { readonly name: string }[];
  readonly certificates: readonly { readonly name: string }[];
  readonly targets: readonly { readonly name: string }[];
}

/** Reads a gateway's config and its policy files only: policies are tested where the keys are not. Throws ConfigError. */
export async function loadPolicyConfig(path: string): Promise<PolicyConfig> {
  const document = new JsonDocument(path, await readTextFile(path));
  if (document.failed) throw new ConfigError(document.problems);
  const parsed = gatewaySchema.safeParse(document.value, { reportInput: true });
  if (!parsed.success) {
    reportIssues(document, parsed.error.issues, toJsonSchema(gatewaySchema));
    throw new ConfigError(document.problems);
  }
  const { identity, targets, policy } = parsed.data;
  // The dates of certificates are not looked at here.
  const material = new Material(document, dirname(resolve(path)), { nowMs: 0 });
  const policies: LoadedPolicy[] = [];
  for (const [index, entry] of policy.files.entries()) {
    const loaded = await material.policy({ path: ['policy', 'files', index], entry });
    if (loaded) policies.push(loaded);
  }
  if (document.failed) throw new ConfigError(document.problems);
  return { policies, issuers: identity.issuers, certificates: identity.certificates, targets };
}
