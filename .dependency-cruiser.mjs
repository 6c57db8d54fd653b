const rooms = '(transport|tunnel|access|relay|dialects|masking|evidence|store|observe|console|demo)';

export default {
  forbidden: [
    {
      name: 'no-loops',
      comment: 'No import loop, not even of types.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'rooms-are-blind',
      comment: 'A room never imports a neighbour; the wiring file hands it an interface.',
      severity: 'error',
      from: { path: `^lib/${rooms}/` },
      to: { path: `^lib/${rooms}/`, pathNot: '^lib/$1/' },
    },
    {
      name: 'core-imports-nothing',
      severity: 'error',
      comment: 'But isIP, for addresses.',
      from: { path: '^lib/core/' },
      to: { pathNot: '^lib/core/|^(node:)?net$' },
    },
    {
      name: 'gen-imports-nothing-of-lib',
      severity: 'error',
      from: { path: '^lib/gen/' },
      to: { path: '^lib/(?!gen/)' },
    },
    {
      name: 'wire-imports-core-and-gen',
      severity: 'error',
      from: { path: '^lib/wire/' },
      to: { path: '^lib/', pathNot: '^lib/(wire|core|gen)/' },
    },
    {
      name: 'wire-is-pure',
      comment: 'Bytes to frames and back: no sockets, files, clocks or processes.',
      severity: 'error',
      from: { path: '^lib/wire/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?buffer$' },
    },
    {
      name: 'sockets-live-in-transport',
      comment:
        'Only transport owns sockets; observe serves health and admin, demo looks for free ports. Addresses need isIP.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/((transport|observe|demo|config)/|core/address\\.ts$)' },
      to: { path: '^(node:)?(net|tls|dgram|http2)$' },
    },
    {
      name: 'config-opens-no-socket',
      severity: 'error',
      from: { path: '^lib/config/' },
      to: { path: '^(node:)?(tls|dgram|http2)$' },
    },
    {
      name: 'http-lives-in-observe',
      comment:
        'Observe serves the admin port; access fetches the keys of issuers, by one file that bounds it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(observe/|access/identity/https-get\\.ts$)' },
      to: { path: '^(node:)?https?$' },
    },
    {
      name: 'no-other-processes',
      comment: 'Nothing that a peer says can become a command or a program.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(node:)?(child_process|cluster|vm|repl)$' },
    },
    {
      name: 'rooms-import-down',
      comment: 'Not config, not the wiring (the files that stand in lib itself), not the command line.',
      severity: 'error',
      from: { path: `^lib/${rooms}/` },
      to: { path: '^lib/', pathNot: `^lib/(${rooms}|wire|core|gen)/` },
    },
    {
      name: 'config-imports-down',
      severity: 'error',
      from: { path: '^lib/config/' },
      to: { path: '^lib/(cli/|[^/]+\\.ts$)' },
    },
    {
      name: 'wiring-imports-down',
      comment:
        'The wiring is the files that stand in lib itself: gateway*, connect, expose and what they share.',
      severity: 'error',
      from: { path: '^lib/[^/]+\\.ts$' },
      to: { path: '^lib/cli/' },
    },
    {
      name: 'lib-imports-no-tests',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'no-dev-dependencies-in-lib',
      severity: 'error',
      from: { path: '^lib/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^lib/gen/.*\\.js$' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json', '.d.ts'],
    },
  },
};
