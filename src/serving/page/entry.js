// One entry of a list: its place, its title, how it changed, and the buttons that send events. Made once per item and
// then updated, so that a button under a finger stays that button.

import { h, put, text } from './dom.js';
import { figure, percent } from './format.js';
import { icon } from './icons.js';
import { why } from './why.js';

/** How long an entry that entered is tinted; its mark stays until the next change. */
export const FRESH_MS = 2500;

const ACTS = [
  ['play', 'Play'],
  ['like', 'Like'],
  ['dislike', 'Dislike'],
  ['hide', 'Hide'],
];

/** A new entry. `does` has `act(kind, entry, row, place)` and `member()`. */
export function entryNode(entry, does) {
  const made = { entry, row: null, place: 0 };
  made.number = h('span', {});
  made.title = h('span', { class: 'title' });
  made.mark = h('span', { class: 'mark' });
  made.more = h('span', { class: 'more' });
  made.buttons = ACTS.map(([kind, label]) =>
    h(
      'button',
      {
        type: 'button',
        class: 'act',
        tabindex: -1,
        'data-act': kind,
        title: label,
        onclick: () => does.act(kind, made.entry, made.row, made.place, made.node),
      },
      icon(kind),
    ),
  );
  made.whyButton = h(
    'button',
    {
      type: 'button',
      class: 'act words',
      tabindex: -1,
      'data-act': 'why',
      'aria-expanded': 'false',
      onclick: () => toggle(made, does),
    },
    'Why',
  );
  made.why = h('div', { class: 'why', role: 'gridcell', hidden: true });
  made.node = h(
    'div',
    { class: 'entry', role: 'row', 'data-item': entry.item },
    h('div', { class: 'place', role: 'gridcell' }, made.number, made.mark),
    h('div', { class: 'what', role: 'gridcell' }, made.title, made.more),
    h(
      'div',
      { class: 'acts', role: 'presentation' },
      [...made.buttons, made.whyButton].map((button) => h('span', { role: 'gridcell' }, button)),
    ),
    made.why,
  );
  made.node.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || made.why.hidden) return;
    event.stopPropagation();
    toggle(made, does);
    made.whyButton.focus();
  });
  made.reload = () => (made.why.hidden ? null : why(made.why, does.member(), made.entry, made.row.list));
  return made;
}

/** Shows an entry as it stands in a new page. */
export function updateEntry(made, { entry, row, place, readOnly }) {
  Object.assign(made, { entry, row, place });
  const name = entry.title ?? entry.item;
  made.node.removeAttribute('aria-busy');
  made.node.setAttribute('aria-rowindex', String(place + 1));
  text(made.number, String(place + 1));
  text(made.title, name);
  made.title.title = `${entry.item}${entry.title ? '' : ': the catalogue has no title of it'}`;
  const genres = (entry.genres ?? []).join(', ');
  const score = meaning(row.list, entry.score);
  put(made.more, genres, genres && score && ' · ', score && h('span', { class: 'whole' }, score));
  for (const [at, button] of made.buttons.entries()) {
    button.setAttribute('aria-label', `${ACTS[at][1]} ${name}`);
    button.disabled = readOnly;
    if (readOnly) button.title = 'This server only reads';
  }
  made.whyButton.setAttribute('aria-label', `Why ${name}`);
  made.reload();
}

/** Shows how an entry changed; nothing where `mark` is undefined. */
export function showMark({ node: entry, mark: node }, mark) {
  entry.className = `entry${mark?.entered ? ' entered' : ''}`;
  if (mark?.entered) setTimeout(() => entry.classList.remove('entered'), FRESH_MS);
  const up = mark?.moved > 0;
  const words = !mark ? '' : mark.entered ? 'new' : `${up ? '▲' : '▼'} ${Math.abs(mark.moved)}`;
  node.className = `mark ${!mark ? '' : mark.entered ? 'new' : up ? 'up' : 'down'}`;
  node.title = !mark
    ? ''
    : mark.entered
      ? 'Entered with the last change'
      : `Moved ${up ? 'up' : 'down'} by ${Math.abs(mark.moved)}`;
  text(node, words);
}

/** What the score of a list is, in words. */
function meaning(list, score) {
  if (!Number.isFinite(score)) return '';
  switch (list) {
    case 'continue_watching':
      return `${percent(score)} watched`;
    case 'because_you_watched':
    case 'watched_together':
      return `likeness ${figure(score)}`;
    case 'popular_with_people_like_you':
      return `liked by ${figure(score)}`;
    case 'trending':
      return `${figure(score)} recent events`;
    case 'new':
      return '';
    default:
      return `score ${figure(score)}`;
  }
}

function toggle(made, does) {
  const open = made.why.hidden;
  made.why.hidden = !open;
  made.whyButton.setAttribute('aria-expanded', String(open));
  if (open) why(made.why, does.member(), made.entry, made.row.list);
  else put(made.why);
}
