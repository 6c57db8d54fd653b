import t from 'tap';
import { DecisionCache } from '../../../lib/access/policy/decision-cache.ts';
import type { Principal } from '../../../lib/core/session.ts';

function user(subject: string): Principal {
  return { kind: 'user', issuer: 'corp', subject, groups: [] };
}

t.test('a principal keeps the 50 to 100 answers used last, whatever others ask', t => {
  const cache = new DecisionCache<{ n: number }>({ maxEntries: 1000, maxEntriesPerPrincipal: 100 });
  const [alice, bob] = [user('alice'), user('bob')];
  cache.set(bob, 'his', { n: -1 });
  let [known, lost, most] = [0, 0, 0];
  for (let n = 0; n < 10_000; n += 1) {
    if (cache.get(alice, `q${n}`) !== undefined) known += 1;
    cache.set(alice, `q${n}`, { n });
    if (n % 40 === 0 && cache.get(alice, 'q0')?.n !== 0) lost += 1;
    most = Math.max(most, cache.size);
  }
  t.equal(known, 0);
  t.equal(lost, 0, 'what is asked again and again stays');
  t.ok(most <= 101, `${most} answers`);
  for (let n = 10_000 - 50; n < 10_000; n += 1) t.equal(cache.get(alice, `q${n}`)?.n, n);
  t.equal(cache.get(bob, 'his')?.n, -1);
  t.equal(cache.get(user('bob'), 'his')?.n, -1, 'by the facts, not by the object');
  t.equal(cache.get(bob, 'q9999'), undefined);
  t.end();
});

t.test('of 5,000 principals those that are quiet make room, and the one that asks all the time stays', t => {
  const cache = new DecisionCache<{ n: number }>({ maxEntries: 100, maxEntriesPerPrincipal: 40 });
  const busy = user('busy');
  cache.set(busy, 'q', { n: -1 });
  let [lost, most] = [0, 0];
  for (let n = 0; n < 5000; n += 1) {
    const one = user(`u${n}`);
    cache.get(one, 'q');
    cache.set(one, 'q', { n });
    if (n % 20 === 0 && cache.get(busy, 'q')?.n !== -1) lost += 1;
    most = Math.max(most, cache.size);
  }
  t.equal(lost, 0);
  t.equal(most, 100);
  t.equal(cache.get(user('u4999'), 'q')?.n, 4999);
  t.equal(cache.get(user('u0'), 'q'), undefined);
  t.end();
});

t.test('a principal whose answers were dropped or cleared asks anew, with the object it had before', t => {
  const cache = new DecisionCache<{ n: number }>({ maxEntries: 4, maxEntriesPerPrincipal: 4 });
  const alice = user('alice');
  cache.set(alice, 'q', { n: 1 });
  for (let n = 0; n < 8; n += 1) cache.set(user(`u${n}`), 'q', { n });
  t.equal(cache.get(alice, 'q'), undefined);
  cache.set(alice, 'q', { n: 2 });
  t.equal(cache.get(alice, 'q')?.n, 2);
  cache.clear();
  t.equal(cache.size, 0);
  t.equal(cache.get(alice, 'q'), undefined);
  cache.set(alice, 'q', { n: 3 });
  t.same([cache.get(alice, 'q')?.n, cache.size], [3, 1]);
  t.end();
});

t.test('10,000 askers who are told nothing take no more room than those who are', t => {
  const cache = new DecisionCache<{ n: number }>({ maxEntries: 100, maxEntriesPerPrincipal: 10 });
  const first = user('first');
  cache.set(first, 'q', { n: 1 });
  for (let i = 0; i < 10_000; i += 1) cache.get(user(`u${i}`), 'q');
  t.equal(cache.get(first, 'q'), undefined, 'it made room');
  t.equal(cache.size, 0);
  t.end();
});
