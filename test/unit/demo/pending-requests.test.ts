import t from 'tap';
import { defaultHostLimits } from '../../../lib/demo/options.ts';
import { PendingRequests } from '../../../lib/demo/pending-requests.ts';

const party = () => ({ pendingRequests: 0 });

t.test('of 3 requests of one caller and 5 in all, the next is refused; a closed one makes room', t => {
  const pending = new PendingRequests({
    ...defaultHostLimits,
    maxPendingRequests: 3,
    maxPendingRequestsInAll: 5,
  });
  const [alice, bob, target] = [party(), party(), party()];
  const ids = [1, 2, 3].map(() => pending.open(alice, '1', target));
  t.throws(() => pending.open(alice, '1', target), { code: 'limit', message: /^3 requests of this worker/ });
  pending.open(bob, '1', target);
  pending.open(bob, '2', target);
  t.throws(() => pending.open(bob, '3', target), { code: 'limit', message: /^5 requests in all/ });
  t.equal(pending.close(ids[0] ?? '', bob), undefined, 'bob was not asked');
  t.equal(pending.close(ids[0] ?? '', target)?.caller, alice);
  t.equal(pending.close(ids[0] ?? '', target), undefined, 'only once');
  pending.open(bob, '3', target);
  t.end();
});

t.test('a party that leaves takes its own requests along and gives those of others, each once', t => {
  const pending = new PendingRequests(defaultHostLimits);
  const [alice, bob] = [party(), party()];
  pending.open(alice, '1', bob);
  pending.open(bob, '2', alice);
  pending.open(bob, '3', bob);
  t.same(
    pending.drop(bob).map(p => p.requestId),
    ['1'],
  );
  t.match([pending.size, alice.pendingRequests, bob.pendingRequests], [0, 0, 0]);
  t.end();
});
