/** What `lockwire init` writes: a small whole that an owner edits, each line with its reason. */

export interface InitFile {
  readonly name: string;
  readonly mode: number;
  readonly text: string;
}

const config = `// The gateway's config. \`lockwire check gateway.json\` says what is missing; docs/configuration.md lists the settings.
{
  // One public port; ALPN and server name decide what a connection is.
  "listeners": [
    { "name": "public", "bind": "0.0.0.0:8443", "tls": { "cert": "gateway.pem", "key": "gateway.key" } },
  ],

  // Who may be somebody here. docs/production.md has the lines for Keycloak, Entra, Okta, GitHub Actions, Kubernetes.
  "identity": {
    "issuers": [
      {
        "name": "corp",
        "issuer": "https://idp.example",
        // Exactly the audience of the tokens that people and programs get for Lockwire, and nothing else's.
        "audience": "lockwire",
        "token": "access",
        "groups": "groups",
      },
    ],
  },

  // What can be reached: an AutoGen host behind \`lockwire expose --target autogen\`.
  // "services" is how gRPC clients that speak TLS themselves find it, without a connect beside them.
  "targets": [
    { "name": "autogen", "dialect": "autogen-rpc", "via": "tunnel", "services": ["agents.AgentRpc"] },
  ],

  "policy": { "files": ["policy.cedar"] },
  "store": { "kind": "embedded", "path": "./data" },

  // /healthz, /readyz and /metrics; the command line uses a socket under "store".
  "admin": { "bind": "127.0.0.1:9443" },
}
`;

const policy = `// Who may do what. What no rule permits is denied; \`lockwire policy test --config gateway.json policy.tests.json\`
// runs the tests beside this file. docs/policy.md explains the vocabulary.

// "connect" opens the target, "call" is asked for each request to it, "message" for each message of AutoGen's in one:
// of the agent type or topic type that it is about, which is "in" the target.
@id("agents-connect")
permit (
  principal in Lockwire::Group::"corp/agents",
  action in [Lockwire::Action::"connect", Lockwire::Action::"call", Lockwire::Action::"message"],
  resource in Lockwire::Target::"autogen"
);

@id("host-exposes")
permit (
  principal in Lockwire::Group::"corp/hosts",
  action == Lockwire::Action::"expose",
  resource == Lockwire::Target::"autogen"
);
`;

const tests = `[
  { "name": "an agent reaches the host", "principal": "user:corp:alice", "groups": ["agents"], "target": "autogen", "expect": "allow" },
  { "name": "and may call it", "principal": "user:corp:alice", "groups": ["agents"], "action": "call", "target": "autogen", "method": "POST", "host": "127.0.0.1:50051", "path": "/agents.AgentRpc/OpenChannel", "expect": "allow" },
  { "name": "and be any agent type", "principal": "user:corp:alice", "groups": ["agents"], "action": "message", "target": "autogen", "operation": "register", "agentType": "writer", "expect": "allow" },
  { "name": "nobody else does", "principal": "user:corp:mallory", "groups": [], "target": "autogen", "expect": "deny" },
  { "name": "an agent does not serve it", "principal": "user:corp:alice", "groups": ["agents"], "action": "expose", "target": "autogen", "expect": "deny" },
  { "name": "the host's machine does", "principal": "user:corp:host-1", "groups": ["hosts"], "action": "expose", "target": "autogen", "expect": "allow" },
]
`;

function unit(directory: string): string {
  return `# cp lockwire.service /etc/systemd/system/; systemctl enable --now lockwire
[Unit]
Description=Lockwire gateway
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/local/bin/lockwire gateway --config ${directory}/gateway.json
WorkingDirectory=${directory}
User=lockwire
Group=lockwire
Restart=on-failure
# SIGTERM drains: live streams run on for the config's drainTimeout (10 min).
TimeoutStopSec=11min
UMask=0077
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ReadWritePaths=${directory}/data
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
`;
}

export function initFiles(directory: string): readonly InitFile[] {
  return [
    { name: 'gateway.json', mode: 0o644, text: config },
    { name: 'policy.cedar', mode: 0o644, text: policy },
    { name: 'policy.tests.json', mode: 0o644, text: tests },
    { name: 'lockwire.service', mode: 0o644, text: unit(directory) },
  ];
}
