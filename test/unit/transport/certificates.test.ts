import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  assertKeyMatches,
  assertPrivateFile,
  certificateDates,
  fingerprint,
  issuerName,
  isValidAt,
  parseCertificate,
  splitPem,
  subjectName,
} from '../../../lib/transport/certificates.ts';
import { makeAuthority } from '../../support/transport-certificates.ts';

const authority = await makeAuthority({ name: 'An Authority' });
const leaf = await authority.issue({ commonName: 'leaf', dns: ['x.example'] });

t.test('splits a bundle of three with text, CRLF and a key between them', t => {
  const bundle = `# ours\n${leaf.certPem}${leaf.keyPem}${authority.certPem.replaceAll('\n', '\r\n')}tail\n${leaf.certPem}`;
  const parts = splitPem(bundle, 'bundle');
  t.equal(parts.length, 3);
  t.same(
    parts.map(pem => fingerprint(parseCertificate(pem, 'part').raw)),
    [leaf, authority, leaf].map(({ der }) => fingerprint(der)),
  );
  t.end();
});

t.test('refuses a bundle without a certificate, with a broken one and with 1,025', t => {
  t.throws(() => splitPem(leaf.keyPem, 'ca.pem'), {
    code: 'config',
    message: 'ca.pem holds no PEM certificate',
  });
  const broken = leaf.certPem.replace(/\n.{10}/, '\nAAAAAAAAAA');
  t.throws(() => splitPem(authority.certPem + broken, 'ca.pem'), {
    code: 'config',
    message: /^certificate 2 of ca\.pem is not/,
  });
  t.throws(() => splitPem(leaf.certPem.repeat(1025), 'ca.pem'), {
    code: 'config',
    message: /1025 certificates, the limit is 1024/,
  });
  t.end();
});

t.test('tells a key that belongs from one that does not, and quotes neither', t => {
  assertKeyMatches(leaf.certPem + authority.certPem, leaf.keyPem, 'listener x');
  t.throws(() => assertKeyMatches(leaf.certPem, authority.keyPem, 'listener x'), {
    code: 'config',
    message: 'listener x: the key does not belong to the certificate of leaf',
  });
  const secret = leaf.keyPem.split('\n')[1] as string;
  try {
    assertKeyMatches(leaf.certPem, leaf.keyPem.replace('BEGIN', 'BEGUN'), 'listener x');
    t.fail('took a broken key');
  } catch (error) {
    t.match(error, { code: 'config', message: /not a PEM private key/ });
    t.notMatch(String(error), secret);
  }
  t.end();
});

t.test('names subject and issuer, and knows the dates to the second', t => {
  const certificate = parseCertificate(leaf.der, 'leaf');
  t.equal(subjectName(certificate), 'leaf');
  t.equal(issuerName(certificate), 'An Authority');
  const { notBeforeMs, notAfterMs } = certificateDates(certificate);
  t.notOk(isValidAt(certificate, notBeforeMs - 1));
  t.ok(isValidAt(certificate, notBeforeMs));
  t.ok(isValidAt(certificate, notAfterMs + 999));
  t.notOk(isValidAt(certificate, notAfterMs + 1000));
  t.end();
});

t.test('a control character in a name does not reach a person’s terminal', async t => {
  const odd = await authority.issue({ commonName: 'a\u001b[31mred' });
  t.notMatch(subjectName(parseCertificate(odd.der, 'odd')), '\u001b');
});

t.test('a private file is one that nobody else can read; each other says what to run', t => {
  const dir = t.testdir();
  const path = join(dir, 'a key.pem');
  writeFileSync(path, 'secret', { mode: 0o600 });
  assertPrivateFile(path);
  symlinkSync(path, join(dir, 'link'));
  assertPrivateFile(join(dir, 'link'));
  chmodSync(path, 0o400);
  assertPrivateFile(path);
  for (const mode of [0o640, 0o604, 0o644, 0o620]) {
    chmodSync(path, mode);
    t.throws(
      () => assertPrivateFile(path),
      {
        code: 'config',
        message: `has mode 0${mode.toString(8)}, so others may read it: chmod 600 '${path}'`,
      },
      mode.toString(8),
    );
  }
  chmodSync(path, 0o600);
  mkdirSync(join(dir, 'folder'));
  t.throws(() => assertPrivateFile(join(dir, 'folder')), { code: 'config', message: /not a regular file/ });
  t.throws(() => assertPrivateFile(join(dir, 'absent')), {
    code: 'config',
    message: /cannot be read: ENOENT/,
  });
  t.end();
});
