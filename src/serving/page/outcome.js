// What the last click came to: how many milliseconds from the click to the change that can be seen, where they went,
// what entered, moved and left, and the way back.

import { byId, h, put, text } from './dom.js';
import { count, listTitle, plural, span } from './format.js';

const DONE = { play: 'Played', like: 'Liked', dislike: 'Disliked', hide: 'Hid', retract: 'Retracted' };
const taken = [];

/** What takes so long that a person would wonder. */
const LONG_MS = 150;
let wondering = 0;

/** Before anything was clicked: keeps the place, so that nothing moves below the pointer at the first click. */
export function idle() {
  show(
    'idle',
    h('div', { class: 'ms' }, h('b', {}, '0'), h('span', {}, 'clicks so far')),
    h(
      'div',
      { class: 'told' },
      h('p', {}, 'Play, like, dislike or hide a title.'),
      h(
        'p',
        { class: 'sub' },
        'The lists change as the event commits. Here stands after how many milliseconds, and what entered, moved and left.',
      ),
    ),
  );
}

/** While it is on its way; said only where it takes long. */
export function sending(action) {
  clearTimeout(wondering);
  wondering = setTimeout(() => {
    show(
      'sending',
      h('div', { class: 'ms' }, h('b', {}, '…'), h('span', {}, 'on its way')),
      h('div', { class: 'told' }, h('p', {}, said(action))),
    );
  }, LONG_MS);
}

function show(state, ...children) {
  clearTimeout(wondering);
  const node = byId('outcome');
  node.hidden = false;
  node.dataset.state = state;
  delete node.dataset.ms;
  put(node, children);
}

/** When it can be seen. `action` has the moments `clicked`, `acked`, `read` and `seen`. */
export function done(action, sum, undo) {
  const total = action.seen - action.clicked;
  taken.push(total);
  const changed = changes(sum, action.item);
  show(
    'done',
    h(
      'div',
      { class: 'ms' },
      h('b', {}, span(total).replace(/ ms$/, '')),
      h('span', {}, total < 1000 ? 'ms from click to sight' : 'from click to sight'),
    ),
    h(
      'div',
      { class: 'told' },
      h('p', {}, said(action), ' ', h('span', { class: 'sub' }, `in epoch ${count(action.epoch)}`)),
      h('p', { class: 'changed' }, changed),
      legs(action),
    ),
    h(
      'div',
      { class: 'outcome-do' },
      undo && h('button', { type: 'button', class: 'undo', onclick: undo }, 'Retract'),
      closer(),
    ),
  );
  byId('outcome').dataset.ms = String(total);
  announce(`${said(action)}. ${changed} Visible after ${span(total)}.`);
}

/** A change that no click of this page made. */
export function elsewhere(epoch, sum) {
  if (!sum.entered && !sum.left && !sum.moved) return;
  const changed = changes(sum);
  show(
    'elsewhere',
    h('div', { class: 'ms' }, h('b', {}, '↻'), h('span', {}, 'from elsewhere')),
    h(
      'div',
      { class: 'told' },
      h(
        'p',
        {},
        'Events or a model from elsewhere changed the lists ',
        h('span', { class: 'sub' }, `in epoch ${count(epoch)}`),
      ),
      h('p', { class: 'changed' }, changed),
    ),
    closer(),
  );
  announce(`The lists changed. ${changed}`);
}

/** It could not be done. */
export function failed(action, problem) {
  show(
    'failed',
    h('div', { class: 'ms' }, h('b', {}, '!'), h('span', {}, 'not done')),
    h(
      'div',
      { class: 'told' },
      h('p', {}, `${said(action)}: ${problem.words}`),
      h('p', { class: 'sub' }, problem.todo),
    ),
    closer(),
  );
  announce(`Not done. ${problem.words} ${problem.todo}`);
}

export const hideOutcome = () => {
  byId('outcome').hidden = true;
};

const closer = () =>
  h(
    'button',
    { type: 'button', class: 'quiet close', 'aria-label': 'Close', title: 'Close', onclick: hideOutcome },
    '×',
  );

export const announce = (words) => text(byId('say'), words);

function said({ kind, name, value }) {
  const part = kind === 'play' && value < 1 ? `, ${Math.round(value * 100)} % of it` : '';
  return `${DONE[kind] ?? kind} ${name}${part}`;
}

/** In words: what left and entered by name, what moved by number. */
function changes({ entered, left, moved, named }, item) {
  if (!entered && !left && !moved) return 'No list on this page changed.';
  const words = [];
  if (left) words.push(`left: ${names(named.left, item)}`);
  if (entered) words.push(`entered: ${names(named.entered, item)}`);
  if (moved) words.push(`${plural(moved, 'entry').replace('entrys', 'entries')} moved`);
  const all = words.join('; ');
  return `${all.charAt(0).toUpperCase()}${all.slice(1)}.`;
}

/** Names of entries, that of the item which was clicked before the others. */
function names(all, item) {
  const shown = [...all]
    .sort((a, b) => (b.item === item) - (a.item === item))
    .slice(0, 2)
    .map(({ name, list, title }) => `${name} (${title || listTitle(list)})`);
  return all.length > 2 ? `${shown.join(', ')} and ${all.length - 2} more` : shown.join(', ');
}

/** Where the time went, as one bar. */
function legs({ clicked, acked, read, seen }) {
  const all = [
    ['commit', Math.min(acked, read) - clicked, 'from the click until the server said that it is committed'],
    ['read', Math.max(0, read - Math.min(acked, read)), 'until the new lists were here'],
    ['paint', seen - read, 'until the browser had painted them'],
  ];
  const total = seen - clicked;
  const bar = h(
    'span',
    { class: 'legs', 'aria-hidden': 'true' },
    all.map(([name, ms]) => {
      const leg = h('i', { class: name });
      leg.style.width = `${(ms / total) * 100}%`;
      return leg;
    }),
  );
  const sorted = [...taken].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  return h(
    'p',
    { class: 'sub legs-line' },
    bar,
    all.map(([name, ms, means]) => h('span', { class: `leg ${name}`, title: means }, `${name} ${span(ms)}`)),
    taken.length > 2 && h('span', { class: 'leg' }, `median of ${taken.length}: ${span(median)}`),
  );
}
