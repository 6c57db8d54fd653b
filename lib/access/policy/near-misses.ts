import type { EntityUidJson, PolicyJson } from '@cedar-policy/cedar-wasm/nodejs';
import type { Rule } from './load-policies.ts';
import { maxNearMisses } from './options.ts';
import {
  type EntityId,
  entityId,
  entityLabel,
  groupIds,
  holders,
  type PolicyRequest,
  principalId,
} from './vocabulary.ts';

/**
 * The permits that came nearest to a denied request, and what each of them wanted instead: one line each, for the
 * administrator. Heads are compared here; that a condition did not hold follows from the denial.
 */
export function nearMisses(rules: readonly Rule[], request: PolicyRequest): readonly string[] {
  const principal = [principalId(request.principal), ...groupIds(request.principal)];
  const resource = [entityId(request.resource.type, request.resource.id), ...holders(request.resource)];
  const action = entityId('Action', request.action);
  const near: { misses: number; line: string }[] = [];
  for (const rule of rules) {
    if (rule.effect !== 'permit') continue;
    const wanted = [
      missed(rule.json.principal, principal, 'principal'),
      missedAction(rule.json, action),
      missed(rule.json.resource, resource, 'resource'),
    ].filter(want => want !== undefined);
    // A permit for another principal, another action and another resource is no near miss.
    if (wanted.length > 1) continue;
    const why = wanted[0] ?? 'its conditions (when, unless) do not hold';
    near.push({ misses: wanted.length, line: `permit '${rule.id}' (${rule.file}:${rule.line}): ${why}` });
  }
  return near
    .sort((a, b) => a.misses - b.misses)
    .slice(0, maxNearMisses)
    .map(({ line }) => line);
}

/** What a scope wanted and did not get: the entity itself comes first in `lineage`, then its parents. */
function missed(
  scope: PolicyJson['principal'] | PolicyJson['resource'],
  lineage: readonly EntityId[],
  what: 'principal' | 'resource',
): string | undefined {
  const [self] = lineage;
  switch (scope.op) {
    case 'All':
      return undefined;
    case '==':
      return 'entity' in scope && !same(scope.entity, self)
        ? `wants ${what} == ${label(scope.entity)}`
        : undefined;
    case 'in':
      return 'entity' in scope && !lineage.some(id => same(scope.entity, id))
        ? `wants ${what} in ${label(scope.entity)}`
        : undefined;
    case 'is': {
      const within = scope.in !== undefined && 'entity' in scope.in ? scope.in.entity : undefined;
      const fits = scope.entity_type === self?.type && (!within || lineage.some(id => same(within, id)));
      const type = scope.entity_type.replace('Lockwire::', '');
      return fits ? undefined : `wants ${what} is ${type}${within ? ` in ${label(within)}` : ''}`;
    }
  }
}

function missedAction({ action: scope }: PolicyJson, action: EntityId): string | undefined {
  if (scope.op === 'All') return undefined;
  const wanted = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : [];
  if (wanted.some(entity => same(entity, action))) return undefined;
  return `permits only action ${wanted.map(entity => plain(entity).id).join(', ')}`;
}

function same(entity: EntityUidJson, id: EntityId | undefined): boolean {
  const { type, id: name } = plain(entity);
  return type === id?.type && name === id.id;
}

function label(entity: EntityUidJson): string {
  return entityLabel(plain(entity));
}

function plain(entity: EntityUidJson): EntityId {
  return '__entity' in entity ? entity.__entity : entity;
}
