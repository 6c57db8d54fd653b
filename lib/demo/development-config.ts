/** The gateway's config and policy of `lockwire up`: as an owner would write them, with the reasons beside. */

export const developmentTarget = 'autogen';
/** The issuer's configured name: in policy its users are `Lockwire::User::"dev|SUBJECT"`. */
export const developmentIssuerName = 'dev';

const editElsewhere = [
  '// DEVELOPMENT: written by `lockwire up` at each start, so changes here are lost; copy it elsewhere to keep them.',
  '// The certificate and the issuer are marked, and `lockwire gateway` refuses both.',
].join('\n');

export interface DevelopmentConfigFacts {
  /** `127.0.0.1:8443`. */
  readonly bind: string;
  readonly issuer: string;
  readonly audience: string;
  /** Paths relative to the config. */
  readonly cert: string;
  readonly key: string;
  readonly jwks: string;
  readonly policy: string;
  readonly store: string;
  readonly adminSocket: string;
}

/** JSON with comments, as `lockwire check` reads it. */
export function developmentConfig(facts: DevelopmentConfigFacts): string {
  const text = (value: string): string => JSON.stringify(value);
  return `${editElsewhere}
{
  // One public port; ALPN and server name decide what a connection is.
  "listeners": [
    {
      "name": "public",
      "bind": ${text(facts.bind)},
      "tls": { "cert": ${text(facts.cert)}, "key": ${text(facts.key)} },
    },
  ],

  // Who may be somebody here: whoever holds a token that this machine's own issuer signed.
  "identity": {
    "issuers": [
      {
        "name": ${text(developmentIssuerName)},
        "issuer": ${text(facts.issuer)},
        "audience": ${text(facts.audience)},
        "token": "access",
        "jwks": ${text(facts.jwks)},
      },
    ],
  },

  // What can be reached: an AutoGen host behind \`lockwire expose\`.
  // gRPC clients that speak TLS themselves find it by its service.
  "targets": [
    {
      "name": ${text(developmentTarget)},
      "dialect": "autogen-rpc",
      "via": "tunnel",
      "services": ["agents.AgentRpc"],
    },
  ],

  // What is permitted; everything else is denied.
  "policy": { "files": [${text(facts.policy)}] },

  "store": { "kind": "embedded", "path": ${text(facts.store)} },
  "admin": { "socket": ${text(facts.adminSocket)} },
}
`;
}

export const developmentPolicy: string = `${editElsewhere}

// Whoever holds a development token may reach the AutoGen host ("connect"), send it requests ("call") and any message
// in them ("message"), and may be the one that serves it. Messages are asked of
// the agent and topic types that the target holds, hence "resource in".
@id("development-users")
permit (
  principal is Lockwire::User,
  action in [
    Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"message", Lockwire::Action::"expose"
  ],
  resource in Lockwire::Target::"${developmentTarget}"
)
when { principal.issuer == "${developmentIssuerName}" };
`;
