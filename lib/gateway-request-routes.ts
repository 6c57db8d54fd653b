import { formatAuthority, maxAuthorityChars, parseAuthority } from './core/authority.ts';
import type { Target } from './gateway-target.ts';

/** The port of an authority that has none (RFC 9110 section 4.2.2). */
const httpsPort = 443;

/**
 * Which target a direct client's request is for: the one whose `hosts` name its authority, else the one whose
 * `services` name the gRPC service in its path. Requests in a tunnel need none of this: their stream named the target.
 */
export class RequestRoutes {
  readonly #hosts = new Map<string, Target>();
  readonly #services = new Map<string, Target>();
  /** Clients write one authority in all their requests: the last one asked for, and what its host is. */
  #lastAuthority = '';
  #lastTarget: Target | undefined;

  /** Of targets whose hosts and services the config found to be unique. */
  constructor(targets: Iterable<Target>) {
    this.replace(targets);
  }

  /** After a reload. */
  replace(targets: Iterable<Target>): void {
    this.#hosts.clear();
    this.#services.clear();
    this.#lastAuthority = '';
    this.#lastTarget = undefined;
    for (const target of targets) {
      for (const host of target.http2?.hosts ?? []) this.#hosts.set(host, target);
      for (const service of target.http2?.services ?? []) this.#services.set(service, target);
    }
  }

  find(authority: string, path: string): Target | undefined {
    return this.#byAuthority(authority) ?? this.#services.get(serviceOf(path));
  }

  #byAuthority(authority: string): Target | undefined {
    if (this.#hosts.size === 0) return undefined;
    if (authority === this.#lastAuthority) return this.#lastTarget;
    const target = this.#lookUp(authority);
    // What is too long for a host is not worth the room.
    if (authority.length <= maxAuthorityChars) {
      this.#lastAuthority = authority;
      this.#lastTarget = target;
    }
    return target;
  }

  #lookUp(authority: string): Target | undefined {
    const parsed = parseAuthority(authority);
    if (parsed === undefined) return undefined;
    const { host, port = httpsPort } = parsed;
    return this.#hosts.get(formatAuthority({ host, port })) ?? this.#hosts.get(formatAuthority({ host }));
  }
}

/** `/package.Service/Method` → `package.Service`; empty where the path is of another form. */
function serviceOf(path: string): string {
  const end = path.indexOf('/', 1);
  return end > 1 && path.startsWith('/') ? path.slice(1, end) : '';
}
