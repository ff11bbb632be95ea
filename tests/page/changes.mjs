// What the page tells of a change, without a browser: which entries entered, moved and left.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const source = readFileSync(new URL('../../src/serving/page/diff.js', import.meta.url), 'utf8');
const { pageChanges, rowChanges } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const entries = (...items) => items.map((item) => ({ item }));

// An entry that leaves lets those below it move up by one, and one enters at the end.
const { marks, left } = rowChanges(entries('a', 'b', 'c'), entries('a', 'c', 'd'));
assert.deepEqual(
  [...marks],
  [
    ['c', { moved: 1 }],
    ['d', { entered: true }],
  ],
);
assert.deepEqual(left, [{ entry: { item: 'b' }, place: 1 }]);

// Nothing changed: nothing is marked.
const same = pageChanges([{ list: 'new', items: entries('a') }], [{ list: 'new', items: entries('a') }]);
assert.deepEqual([same.sum.entered, same.sum.left, same.sum.moved], [0, 0, 0]);

// A row that goes takes its entries along; a row about another item is another row.
const because = (item, ...items) => ({ list: 'because_you_watched', because: { item }, items: entries(...items) });
const rows = pageChanges([because('x', 'a', 'b')], [because('y', 'a')]);
assert.deepEqual([rows.sum.entered, rows.sum.left], [1, 2]);

// From one list to another: it left here and entered there.
const moved = pageChanges(
  [
    { list: 'top_picks', items: entries('a', 'b') },
    { list: 'continue_watching', items: [] },
  ],
  [
    { list: 'top_picks', items: entries('b') },
    { list: 'continue_watching', items: entries('a') },
  ],
);
assert.deepEqual(
  moved.sum.named.left.map(({ list }) => list),
  ['top_picks'],
);
assert.deepEqual(
  moved.sum.named.entered.map(({ list }) => list),
  ['continue_watching'],
);
console.log('ok      what entered, moved and left is told apart');
