// Writes revocations one after the other and says each once it is confirmed, until it is killed.
import { writeSync } from 'node:fs';
import { systemClock } from '../../lib/core/clock.ts';
import { silentLog } from '../../lib/core/ports.ts';
import { Store } from '../../lib/store/store.ts';

const store = new Store(process.argv[2] ?? '', { clock: systemClock, log: silentLog });
for (let i = 0; i < 1000; i += 1) {
  store.revoke('token', `token-${i}`, 'x'.repeat(200));
  writeSync(1, `token-${i}\n`);
}
