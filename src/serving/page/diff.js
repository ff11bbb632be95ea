// What changed between two pages of one member: which items entered, left or moved, list by list. Pure, so that it can
// be checked without a browser.

/** A row's identity: there may be several rows of one list, each about another item. */
export const rowKey = (row) => (row.because ? `${row.list}:${row.because.item}` : row.list);

/**
 * The changes of one row: `marks`, from item to `{ entered }` or `{ moved: places up }`, and `left`, the entries that are
 * gone with the place that they had.
 */
export function rowChanges(before, after) {
  const was = new Map(before.map((entry, place) => [entry.item, place]));
  const is = new Set(after.map((entry) => entry.item));
  const marks = new Map();
  after.forEach((entry, place) => {
    const old = was.get(entry.item);
    if (old === undefined) marks.set(entry.item, { entered: true });
    else if (old !== place) marks.set(entry.item, { moved: old - place });
  });
  const left = before.map((entry, place) => ({ entry, place })).filter(({ entry }) => !is.has(entry.item));
  return { marks, left };
}

/** The changes of a whole page: by row, and in sum. Rows that came or went as a whole count by their entries. */
export function pageChanges(before, after) {
  const old = new Map(before.map((row) => [rowKey(row), row]));
  const rows = new Map();
  const sum = { entered: 0, left: 0, moved: 0, named: { entered: [], left: [] } };
  for (const row of after) {
    const key = rowKey(row);
    const changes = rowChanges(old.get(key)?.items ?? [], row.items);
    rows.set(key, changes);
    old.delete(key);
    for (const entry of row.items) {
      const mark = changes.marks.get(entry.item);
      if (mark?.entered) add('entered', row, entry);
      else if (mark) sum.moved += 1;
    }
    for (const { entry } of changes.left) add('left', row, entry);
  }
  for (const row of old.values()) {
    for (const entry of row.items) add('left', row, entry);
  }
  return { rows, sum };

  function add(what, row, entry) {
    sum[what] += 1;
    sum.named[what].push({ list: row.list, title: row.title, item: entry.item, name: entry.title ?? entry.item });
  }
}
