// The settings beside the search: how much a play counts, how long lists are, whether what is shown counts as shown, and
// how events are dated; and the events that the page sends, which follow from them.

import { h } from './dom.js';
import { ago } from './format.js';

const DAY_MS = 86_400_000;

/** `onChange()` is called when the lists must be read anew. */
export function tools(onChange) {
  const played = choice('play-part', 'A play is', [
    ['1', 'all of it'],
    ['0.5', 'half of it'],
    ['0.1', 'a beginning'],
  ]);
  const length = choice(
    'length',
    'Entries',
    [
      ['5', '5 a list'],
      ['10', '10 a list'],
      ['20', '20 a list'],
    ],
    onChange,
  );
  const shown = choice('shown', 'What is in sight', [
    ['1', 'counts as shown'],
    ['', 'is not counted'],
  ]);
  const dated = choice('dated', 'Dated', []);
  if (!matchMedia('(max-width: 40rem)').matches) length.select.value = '10';
  dated.node.hidden = true;
  let newest = 0;

  /** An old log has an old *now*: an event of today would leave every window but its own hour empty. */
  function dates(page) {
    newest = Math.max(newest, page.as_of ?? 0);
    if (!newest || Date.now() - newest < DAY_MS || !dated.node.hidden) return;
    dated.select.append(
      h('option', { value: 'log' }, `after the newest event (${ago(newest)})`),
      h('option', { value: 'clock' }, 'by the clock (today)'),
    );
    dated.select.title =
      'Windows and trending end at the newest event. Where that is long ago, an event of today moves them all, and leaves trending with it alone.';
    dated.node.hidden = false;
  }

  /** What is shown is shown before it is acted on, and moves no time. */
  function at(kind) {
    if (dated.node.hidden || dated.select.value === 'clock') return Date.now();
    if (kind !== 'impression') newest += 1000;
    return newest;
  }

  function event(member, item, kind, list, position, page) {
    const value = kind === 'play' ? { value: Number(played.select.value) } : {};
    const variant = page?.variant ? { variant: page.variant } : {};
    return { member, item, kind, ...value, at: at(kind), id: `page-${unique()}`, context: { list, position, ...variant } };
  }

  return {
    node: h('div', { class: 'settings' }, played.node, length.node, shown.node, dated.node),
    limit: () => Number(length.select.value),
    countsShown: () => shown.select.value !== '',
    dates,
    event,
  };
}

function choice(id, label, options, onchange) {
  const select = h(
    'select',
    { id, onchange },
    options.map(([value, words]) => h('option', { value }, words)),
  );
  return { select, node: h('div', { class: 'setting' }, h('label', { for: id }, label), select) };
}

/** An id that is nobody else's; `randomUUID` is missing where a page comes over plain HTTP from another machine. */
function unique() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
