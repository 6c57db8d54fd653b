import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Program, type ProgramOptions } from './e2e-program.ts';
import { type Host, type Serve, startHost } from './e2e-sockets.ts';
import { type Authority, type Issued, makeAuthority } from './transport-certificates.ts';

/** What a test registers its cleaning up with; `t` of tap is one. */
interface Teardown {
  teardown(clean: () => unknown): void;
  /** False once anything failed. */
  passing?(): boolean;
}

export interface Claims {
  readonly sub?: string;
  readonly aud?: string;
  readonly iss?: string;
  readonly groups?: readonly string[];
  /** Seconds from now. */
  readonly issued?: number;
  readonly expires?: number;
}

const issuerUrl = 'https://issuer.example';

/** `agents` may connect, `hosts` may expose, to `autogen`, `rpc` and `plain`. */
export const usualPolicy = `
@id("agents")
permit (principal in Lockwire::Group::"corp/agents", action in [Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"message"], resource);
@id("hosts")
permit (principal in Lockwire::Group::"corp/hosts", action == Lockwire::Action::"expose", resource);
`;

const usualTargets = [
  // Any bytes go, so that a test need not speak gRPC; `rpc` is the real thing.
  { name: 'autogen', protocol: 'tcp', exclusive: true, via: 'tunnel' },
  { name: 'rpc', dialect: 'autogen-rpc', via: 'tunnel' },
  { name: 'plain', protocol: 'tcp', via: 'tunnel' },
];

export interface GatewaySettings {
  readonly targets?: readonly object[];
  readonly policy?: string;
  readonly limits?: object;
  readonly listener?: object;
  readonly tls?: object;
  readonly certificates?: readonly object[];
  readonly enrolment?: 'optional' | 'required';
  readonly bind?: string;
  readonly store?: string;
  readonly admin?: object;
  readonly drainTimeout?: string;
  readonly instances?: number;
}

/** A gateway process and where it is. */
export interface Gateway {
  readonly program: Program;
  readonly port: number;
  readonly address: string;
  readonly adminSocket: string;
  readonly config: string;
}

export interface Side {
  readonly program: Program;
  /** Where a connect listens. */
  readonly address: string;
}

export interface SideSettings {
  readonly target?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly certificate?: Issued;
  readonly ca?: string;
  readonly listen?: string;
  readonly to?: string;
  /** Not waiting for its ready line. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Lines of each program that are shown where a test failed. */
const toldLines = 40;

/** A scratch directory with an authority, an issuer and all the processes of one test. */
export class World {
  readonly directory: string;
  readonly authority: Authority;
  readonly #server: Issued;
  readonly #sign: (claims: Claims) => Promise<string>;
  readonly #programs: Program[] = [];
  readonly #hosts: Host[] = [];
  #files = 0;

  private constructor(
    directory: string,
    authority: Authority,
    server: Issued,
    sign: (claims: Claims) => Promise<string>,
  ) {
    this.directory = directory;
    this.authority = authority;
    this.#server = server;
    this.#sign = sign;
  }

  static async make(t: Teardown): Promise<World> {
    // Short, for the unix sockets in it.
    const directory = mkdtempSync(join(tmpdir(), 'lw-'));
    const authority = await makeAuthority({ name: 'Scratch CA' });
    const server = await authority.issue({
      dns: ['gateway.example', 'localhost', 'legacy.example', '*.legacy.example'],
      ips: ['127.0.0.1'],
    });
    const { sign, jwks } = await makeIssuer();
    const world = new World(directory, authority, server, sign);
    world.file('ca.pem', authority.certPem);
    world.file('gateway.pem', server.certPem);
    world.file('gateway.key', server.keyPem);
    world.file('issuer.jwks.json', jwks);
    t.teardown(async () => {
      if (t.passing?.() === false) world.tell();
      await world.close();
    });
    return world;
  }

  /** Writes a file, 0600, and gives its path. */
  file(name: string, text: string): string {
    const path = join(this.directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    chmodSync(path, 0o600);
    return path;
  }

  token(claims: Claims = {}): Promise<string> {
    return this.#sign(claims);
  }

  async host(serve?: Serve, port?: number): Promise<Host> {
    const host = await startHost(serve, port);
    this.#hosts.push(host);
    return host;
  }

  program(args: readonly string[], options?: ProgramOptions): Program {
    const program = new Program(args, options);
    this.#programs.push(program);
    return program;
  }

  /** The text of a config, and its file. */
  config(settings: GatewaySettings = {}, name = `gateway-${this.#number()}`): string {
    this.file(`${name}.cedar`, settings.policy ?? usualPolicy);
    const store = settings.store ?? `${name}.data`;
    mkdirSync(join(this.directory, store), { recursive: true, mode: 0o700 });
    const config = {
      listeners: [
        {
          name: 'public',
          bind: settings.bind ?? '127.0.0.1:0',
          tls: { cert: 'gateway.pem', key: 'gateway.key', ...settings.tls },
          ...settings.listener,
        },
      ],
      identity: {
        issuers: [
          {
            name: 'corp',
            issuer: issuerUrl,
            audience: 'lockwire',
            token: 'access',
            groups: 'groups',
            jwks: 'issuer.jwks.json',
          },
        ],
        ...(settings.certificates ? { certificates: settings.certificates } : {}),
        ...(settings.enrolment ? { enrolment: settings.enrolment } : {}),
      },
      targets: settings.targets ?? usualTargets,
      policy: { files: [`${name}.cedar`] },
      ...(settings.limits ? { limits: settings.limits } : {}),
      store: { kind: 'embedded', path: store },
      admin: { socket: `${store}/admin.sock`, ...settings.admin },
      ...(settings.instances ? { instances: settings.instances } : {}),
      ...(settings.drainTimeout ? { drainTimeout: settings.drainTimeout } : {}),
    };
    return this.file(`${name}.json`, JSON.stringify(config, null, 2));
  }

  async gateway(settings: GatewaySettings = {}): Promise<Gateway> {
    const path = this.config(settings);
    const program = this.program(['gateway', '--config', path]);
    const match = await program.line(/gateway ready on public (\S+:(\d+))/);
    const store = settings.store ?? path.replace(/\.json$/, '.data').slice(this.directory.length + 1);
    return {
      program,
      config: path,
      address: (match[1] ?? '').replace(/,$/, ''),
      port: Number(match[2]),
      adminSocket: join(this.directory, store, 'admin.sock'),
    };
  }

  /** A connect of an agent's, ready. */
  async connect(gateway: { port: number }, settings: SideSettings = {}): Promise<Side> {
    const program = await this.startConnect(gateway, settings);
    const match = await program.line(/connect ready on (\S+), target/);
    return { program, address: match[1] ?? '' };
  }

  async startConnect(gateway: { port: number }, settings: SideSettings = {}): Promise<Program> {
    const token = settings.token ?? (await this.token({ sub: 'alice', groups: ['agents'] }));
    const { listen = '127.0.0.1:0' } = settings;
    return this.program(
      ['connect', '--listen', listen, ...this.#side(gateway, { ...settings, token })],
      settings.env ? { env: settings.env } : {},
    );
  }

  /** An expose of a host's, ready. */
  async expose(gateway: { port: number }, settings: SideSettings & { to: string }): Promise<Side> {
    const program = await this.startExpose(gateway, settings);
    await program.line(/expose ready for/);
    return { program, address: settings.to };
  }

  async startExpose(gateway: { port: number }, settings: SideSettings & { to: string }): Promise<Program> {
    const token = settings.token ?? (await this.token({ sub: 'server', groups: ['hosts'] }));
    return this.program(
      ['expose', '--to', settings.to, ...this.#side(gateway, { ...settings, token })],
      settings.env ? { env: settings.env } : {},
    );
  }

  #number(): number {
    this.#files += 1;
    return this.#files;
  }

  #side(gateway: { port: number }, settings: SideSettings): string[] {
    const number = this.#number();
    const credential: string[] = [];
    if (settings.certificate) {
      const { certPem, keyPem } = settings.certificate;
      credential.push('--cert', this.file(`client-${number}.pem`, certPem));
      credential.push('--key', this.file(`client-${number}.key`, keyPem));
    } else {
      const file = settings.tokenFile ?? this.file(`token-${number}`, `${settings.token}\n`);
      credential.push('--token-file', file);
    }
    return [
      ...['--gateway', `127.0.0.1:${gateway.port}`, '--server-name', 'gateway.example'],
      ...['--target', settings.target ?? 'autogen'],
      ...['--ca', settings.ca ?? join(this.directory, 'ca.pem')],
      ...['--instance-key-file', join(this.directory, `instance-${number}.key`)],
      ...credential,
      ...(settings.args ?? []),
    ];
  }

  /** The gateway's own certificate: for a test that plays another gateway. */
  get server(): Issued {
    return this.#server;
  }

  /** What its programs said last: a test that failed tells little of them. */
  tell(): void {
    for (const { name, out, err } of this.#programs)
      process.stderr.write(`--- ${name} said last:\n${[...out, ...err].slice(-toldLines).join('\n')}\n`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#programs.map(program => program.kill()));
    await Promise.all(this.#hosts.map(host => host.close()));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Keys and tokens of one issuer. */
export async function makeIssuer(
  url: string = issuerUrl,
): Promise<{ sign: (claims: Claims) => Promise<string>; jwks: string }> {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256', use: 'sig' };
  return {
    jwks: JSON.stringify({ keys: [jwk] }),
    sign: claims => {
      const now = Date.now() / 1000;
      return new SignJWT({ groups: claims.groups ?? [] })
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'key-1' })
        .setIssuer(claims.iss ?? url)
        .setSubject(claims.sub ?? 'alice')
        .setAudience(claims.aud ?? 'lockwire')
        .setJti(randomUUID())
        .setIssuedAt(now + (claims.issued ?? -1))
        .setExpirationTime(now + (claims.expires ?? 3600))
        .sign(privateKey);
    },
  };
}
