// A member's rows: entries with what can be done to each. Shows a new page by changing only what differs, so that
// focus and open reasons stay, and marks what entered, moved and left.

import { h, put, still, text } from './dom.js';
import { entryNode, showMark, updateEntry } from './entry.js';
import { rowKey } from './diff.js';
import { listTitle } from './format.js';
import { focused, gridKeys, refocus, settleTabStops } from './grid.js';

/** How long an entry that left is still seen, struck through. */
const GONE_MS = 7000;
/** Between rows, in pixels. */
const GAP = 32;

/** The rows of one member in `node`; `does` has `act(kind, entry, row, place)`, `member()` and `shown(entry)`. */
export function lists(node, does) {
  let sections = new Map();
  node.addEventListener('keydown', gridKeys);

  function show(rows, changes, readOnly) {
    const focus = focused(node);
    const tops = changes && !still() ? topsOf(node) : null;
    const next = new Map();
    for (const row of rows) {
      const key = rowKey(row);
      const section = sections.get(key) ?? made(key);
      next.set(key, section);
      update(section, row, changes?.rows.get(key), readOnly);
    }
    for (const [key, section] of sections) if (!next.has(key)) section.node.remove();
    [...next.values()].forEach((section, place) => {
      if (node.children[place] !== section.node) node.insertBefore(section.node, node.children[place] ?? null);
    });
    if ([...next.keys()].join() !== [...sections.keys()].join()) inColumns(rows, next);
    sections = next;
    settleTabStops(node);
    refocus(node, focus);
    if (tops) slide(node, tops);
  }

  // Rows keep their order, for whoever reads them one by one, and stand in two columns without gaps where there is room.
  const measured = new ResizeObserver((sizes) => {
    for (const {
      target,
      borderBoxSize: [size],
    } of sizes)
      target.style.gridRowEnd = `span ${Math.ceil(size.blockSize) + GAP}`;
  });

  function made(key) {
    const id = `list-${key.replace(/[^\w-]/g, '_')}`;
    const title = h('h3', { id });
    const source = h('span', { class: 'source' });
    const reason = h('p', { class: 'reason', hidden: true });
    const grid = h('div', { role: 'grid', class: 'entries', 'aria-labelledby': id });
    const section = h(
      'section',
      { class: 'list', 'data-key': key, 'aria-labelledby': id },
      h('header', {}, title, source),
      reason,
      grid,
    );
    measured.observe(section);
    return { node: section, title, source, reason, grid, entries: new Map(), gone: [] };
  }

  function update(section, row, changes, readOnly) {
    const about = heading(row);
    section.node.dataset.list = row.list;
    text(section.title, about);
    text(section.source, row.source);
    section.source.title = SOURCES[row.source] ?? '';
    section.reason.hidden = !row.reason;
    text(
      section.reason,
      row.reason ? `${listTitle(row.source === 'trending' ? 'trending' : row.list)} instead: ${row.reason}.` : '',
    );
    // Where nothing changed, the marks of the last change stay.
    if (changes) for (const ghost of section.gone) ghost.remove();
    section.gone = changes ? [] : section.gone.filter((ghost) => ghost.isConnected);

    const entries = new Map();
    row.items.forEach((entry, place) => {
      const known = section.entries.get(entry.item);
      const made = known ?? entryNode(entry, does);
      updateEntry(made, { entry, row, place, readOnly });
      if (!known) does.shown(made);
      if (changes || !known) showMark(made, changes?.marks.get(entry.item));
      entries.set(entry.item, made);
    });
    for (const { entry, place } of changes?.left ?? []) {
      const leaving = section.entries.get(entry.item);
      if (leaving) section.gone.push(ghostOf(leaving, place));
    }
    const wanted = [...entries.values()].map((made) => made.node);
    for (const ghost of section.gone) wanted.splice(Math.min(Number(ghost.dataset.was), wanted.length), 0, ghost);
    inOrder(section.grid, wanted);
    if (!row.items.length)
      section.grid.append(
        h(
          'div',
          { role: 'row', class: 'none' },
          h('span', { role: 'gridcell', class: 'sub' }, 'Nothing is left to list.'),
        ),
      );
    section.entries = entries;
  }

  return {
    show,
    clear: () => {
      sections = new Map();
      put(node);
    },
  };
}

/** A row's title; of one that is about an item, with the item's. */
function heading({ list, title, because }) {
  const words = title || listTitle(list);
  const name = because && (because.title ?? because.item);
  return name && !words.includes(name) ? `${words} ${name}` : words;
}

const SOURCES = {
  online: 'Ranked when it was asked for',
  nearline: 'The stored list, kept fresh by the pipeline',
  offline: 'The list of the last batch job',
  trending: 'What is acted on most of late: there is no better list',
};

/** Each row goes to the column that is shorter so far, by entries. */
function inColumns(rows, sections) {
  const tall = [0, 0];
  for (const row of rows) {
    const column = tall[1] < tall[0] ? 1 : 0;
    tall[column] += row.items.length + 2;
    sections.get(rowKey(row)).node.dataset.column = column + 1;
  }
}

/** An entry that left: seen for a moment, and out of reach. */
function ghostOf({ node, mark }, place) {
  node.className = 'entry gone';
  node.inert = true;
  node.dataset.was = String(place);
  node.setAttribute('aria-hidden', 'true');
  text(mark, 'left');
  mark.className = 'mark left';
  node.querySelector('.why')?.remove();
  setTimeout(() => node.classList.add('going'), GONE_MS - 600);
  setTimeout(() => node.remove(), GONE_MS);
  return node;
}

function inOrder(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
}

const topOf = (entry) => entry.getBoundingClientRect().top;
const topsOf = (node) => new Map([...node.querySelectorAll('.entry')].map((entry) => [entry, topOf(entry)]));

/** Lets the entries that are in sight glide from where they stood. */
function slide(node, tops) {
  const moves = [];
  for (const entry of node.querySelectorAll('.entry:not(.gone)')) {
    const [before, after] = [tops.get(entry), topOf(entry)];
    if (before !== undefined && before !== after && after > -60 && after < innerHeight)
      moves.push([entry, before - after]);
  }
  for (const [entry, by] of moves) {
    entry.animate([{ transform: `translateY(${by}px)` }, { transform: 'none' }], {
      duration: 260,
      easing: 'cubic-bezier(.2,.7,.2,1)',
    });
  }
}
