import type { Action } from '../../core/ports.ts';
import type { Principal } from '../../core/session.ts';

export const actions: readonly Action[] = ['connect', 'expose', 'call', 'message', 'admin'];

type ResourceType = 'Target' | 'AgentType' | 'TopicType' | 'Tool' | 'Model' | 'Admin';

/** What may be asked of a policy; the access port's requests are some of these. */
export interface PolicyRequest {
  readonly principal: Principal;
  readonly action: Action;
  /** The id of what a target holds is `target/name`. */
  readonly resource: { readonly type: ResourceType; readonly id: string };
  readonly context: Readonly<Record<string, string | boolean | number>>;
}

/** An entity's type and id as Cedar takes them. */
export interface EntityId {
  readonly type: string;
  readonly id: string;
}

const namespace = 'Lockwire';

export function entityId(type: string, id: string): EntityId {
  return { type: `${namespace}::${type}`, id };
}

/** `Lockwire::Group::"corp/devs"` → `Group corp/devs`. */
export function entityLabel({ type, id }: EntityId): string {
  return `${type.replace(`${namespace}::`, '')} ${id}`;
}

export function principalId(principal: Principal): EntityId {
  return principal.kind === 'user'
    ? entityId('User', `${principal.issuer}|${principal.subject}`)
    : entityId('Workload', `${principal.source}|${principal.name}`);
}

export function groupIds(principal: Principal): readonly EntityId[] {
  const source = principal.kind === 'user' ? principal.issuer : principal.source;
  return principal.groups.map(group => entityId('Group', `${source}/${group}`));
}

/**
 * The target that holds a resource; what isn't held by one has none. A configured name has no slash, so the first one
 * separates, whatever a peer calls the rest.
 */
export function holders({ type, id }: PolicyRequest['resource']): readonly EntityId[] {
  const slash = id.indexOf('/');
  if (type === 'Target' || type === 'Admin' || slash <= 0) return [];
  return [entityId('Target', id.slice(0, slash))];
}
