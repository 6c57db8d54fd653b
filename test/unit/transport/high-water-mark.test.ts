import { getDefaultHighWaterMark } from 'node:stream';
import t from 'tap';
import '../../../lib/transport/socket-carrier.ts';

t.test('a socket that is paused keeps at most 16 KiB and one read', t => {
  t.equal(getDefaultHighWaterMark(false), 16_384);
  t.end();
});
