import t from 'tap';
import { defaultReadBudget, fixedWindow, ReadBudget } from '../../../lib/core/read-budget.ts';

t.test('32 streams have 256 KiB each, 128 have 64 KiB, 512 and more one record of 16 KiB', t => {
  const budget = new ReadBudget();
  const windows: [number, number][] = [];
  for (let streams = 1; streams <= 2000; streams += 1) {
    budget.join();
    if ([1, 32, 128, 512, 2000].includes(streams)) windows.push([streams, budget.windowBytes]);
  }
  t.same(windows, [
    [1, 262_144],
    [32, 262_144],
    [128, 65_536],
    [512, 16_384],
    [2000, 16_384],
  ]);
  while (budget.streams > 0) budget.leave();
  t.equal(budget.windowBytes, defaultReadBudget.mostWindowBytes, 'and grow back when they are gone');
  t.end();
});

t.test('all windows together stay within 8 MiB, until the least window of each is more', t => {
  const budget = new ReadBudget();
  for (let streams = 1; streams <= 512; streams += 1) {
    budget.join();
    if (budget.windowBytes * streams > defaultReadBudget.totalBytes) t.fail(`${streams} streams`);
  }
  t.equal(fixedWindow(1000).windowBytes, 1000);
  t.end();
});
