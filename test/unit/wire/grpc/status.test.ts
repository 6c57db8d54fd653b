import fc from 'fast-check';
import t from 'tap';
import {
  decodeStatusMessage,
  encodeStatusMessage,
  GrpcStatus,
  maxStatusMessageBytes,
  statusName,
  statusOfHttp,
} from '../../../../lib/wire/grpc/status.ts';

t.test('every status of gRPC has its number and its name', async t => {
  t.equal(Object.keys(GrpcStatus).length, 17);
  for (const [key, code] of Object.entries(GrpcStatus)) {
    t.equal(statusName(code), key.replace(/[A-Z]/g, capital => `_${capital}`).toUpperCase());
  }
  t.equal(GrpcStatus.unauthenticated, 16);
  t.equal(statusName(17), 'status 17');
  t.equal(statusName(-1), 'status -1');
});

t.test('an HTTP status without grpc-status is told as gRPC maps it', async t => {
  const mapped = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };
  for (const [http, grpc] of Object.entries(mapped)) t.equal(statusOfHttp(Number(http)), grpc, http);
  for (const http of [0, 200, 204, 302, 402, 405, 409, 500, 501, 505, 599])
    t.equal(statusOfHttp(http), 2, `${http}`);
});

const vectors: [text: string, encoded: string][] = [
  ['', ''],
  ['denied: default-deny', 'denied: default-deny'],
  [' !"#$&\'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~', ' !"#$&\'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~'],
  ['100%', '100%25'],
  ['%25', '%2525'],
  ['a\nb', 'a%0Ab'],
  ['\r\n\0\t\x7f', '%0D%0A%00%09%7F'],
  ['my favorite character is \u0000', 'my favorite character is %00'],
  ['über', '%C3%BCber'],
  ['☺', '%E2%98%BA'],
  ['🐢', '%F0%9F%90%A2'],
];

for (const [text, encoded] of vectors) {
  t.test(`the grpc-message of ${JSON.stringify(text)} is ${JSON.stringify(encoded)}`, async t => {
    t.equal(encodeStatusMessage(text), encoded);
    t.equal(decodeStatusMessage(encoded), text);
  });
}

t.test('a lone surrogate is written as U+FFFD', async t => {
  t.equal(encodeStatusMessage('a\ud800b'), 'a%EF%BF%BDb');
  t.equal(encodeStatusMessage('\udc00'), '%EF%BF%BD');
});

const odd: [what: string, encoded: string, text: string][] = [
  ['a % at the end', 'a%', 'a%'],
  ['a % and one digit', 'a%4', 'a%4'],
  ['a % and no hex', '%zz%4g', '%zz%4g'],
  ['small digits', '%c3%bc', 'ü'],
  ['%% before a byte', '%%41', '%A'],
  ['a byte that is not decoded again', '%2541', '%41'],
  ['bytes that are no UTF-8', 'a%FFb', 'a\ufffdb'],
  ['half a character', '%E2%98', '\ufffd'],
  ['text that is not encoded', 'ü☺ %C3%BC', 'ü☺ ü'],
];

for (const [what, encoded, text] of odd) {
  t.test(`${what} in a grpc-message does not lose the rest`, async t => {
    t.equal(decodeStatusMessage(encoded), text);
  });
}

t.test('a text of 10 MB is cut at 1,024 encoded bytes, and never inside a character', async t => {
  t.equal(maxStatusMessageBytes, 1_024);
  t.equal(encodeStatusMessage('a'.repeat(10_000_000)), 'a'.repeat(1_024));
  t.equal(encodeStatusMessage('ü'.repeat(1_000)), '%C3%BC'.repeat(170));
  t.equal(encodeStatusMessage('🐢🐢', 23), '%F0%9F%90%A2');
  t.equal(encodeStatusMessage('a🐢', 2), 'a');
  t.equal(encodeStatusMessage(`${'a'.repeat(1_023)}🐢`), 'a'.repeat(1_023));
});

t.test('any text comes back as it was, and is printable ASCII on the way', async t => {
  const same = fc.property(fc.string({ unit: 'binary', maxLength: 80 }), text => {
    const encoded = encodeStatusMessage(text);
    return /^[\x20-\x7e]*$/.test(encoded) && decodeStatusMessage(encoded) === text.toWellFormed();
  });
  t.doesNotThrow(() => fc.assert(same, { numRuns: 1_000 }));
});

t.test('decoding never throws, whatever is sent', async t => {
  const unit = fc.constantFrom('%', 'C', '3', 'b', 'F', 'z', 'ü', '\ud800');
  const decoded = fc.property(fc.string({ unit }), encoded => {
    decodeStatusMessage(encoded);
  });
  t.doesNotThrow(() => fc.assert(decoded, { numRuns: 1_000 }));
});
