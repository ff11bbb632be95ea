// What is acted on most of late, each with a small plot of the last seven days; one opened at a time shows the plot
// large, and what is most like it.

import { get, part } from './api.js';
import { byId, empty, h, put, trouble } from './dom.js';
import { count, figure, time } from './format.js';
import { bins, chart, spark } from './plot.js';

const HOURS = 168;
const KINDS = [
  ['play', 'plays'],
  ['like', 'likes'],
  ['click', 'clicks'],
  ['list_add', 'list adds'],
  ['', 'all events'],
];

export function startTrending() {
  const body = byId('trending-body');
  const kind = h(
    'select',
    { id: 'trend-kind', onchange: () => load() },
    KINDS.map(([value, words]) => h('option', { value }, words)),
  );
  const rows = h('ol', { class: 'trends' });
  const note = h('div', {});
  put(
    body,
    h('div', { class: 'tools' }, h('div', { class: 'setting' }, h('label', { for: 'trend-kind' }, 'Plot'), kind)),
    note,
    rows,
  );
  let open = null;
  let busy = false;
  let shownOf = '';

  async function load() {
    if (busy) return;
    busy = true;
    try {
      const wanted = kind.value;
      const { items, as_of: end } = await get('/v1/trending', { limit: 10 });
      const counts = await Promise.all(
        items.map(({ item }) => get(`/v1/items/${part(item)}/counts`, { kind: wanted, hours: HOURS })),
      );
      put(byId('trending-sub'), 'the newest events count most', end ? [', up to ', time(end)] : null);
      put(
        note,
        items.length
          ? null
          : empty(
              'Nothing is acted on yet. Events make this list; pipe some in:',
              'nearline run --listen 127.0.0.1:7070 events.jsonl',
            ),
      );
      const key = JSON.stringify([wanted, counts]);
      if (key !== shownOf) show(items, counts, end ?? Date.now());
      shownOf = key;
    } catch (problem) {
      put(note, trouble(problem));
    } finally {
      busy = false;
    }
  }

  function show(items, counts, end) {
    const held = rows.contains(document.activeElement) ? document.activeElement.dataset.item : null;
    put(
      rows,
      items.map((entry, at) => row(entry, counts[at].counts, end, at)),
    );
    if (held) [...rows.querySelectorAll('button[data-item]')].find((button) => button.dataset.item === held)?.focus();
  }

  function row(entry, counts, end, at) {
    const words = kind.selectedOptions[0].textContent;
    const total = counts.reduce((sum, one) => sum + one.count, 0);
    const name = entry.title ?? entry.item;
    const detail = h('div', { class: 'trend-detail', hidden: true });
    const button = h(
      'button',
      { type: 'button', class: 'trend-open', 'data-item': entry.item, 'aria-expanded': 'false' },
      name,
    );
    const line = h(
      'li',
      { class: 'trend' },
      h('span', { class: 'place' }, at + 1),
      h(
        'span',
        { class: 'what' },
        button,
        h(
          'span',
          { class: 'more' },
          [(entry.genres ?? []).join(', '), `${figure(entry.score)} recent events`].filter(Boolean).join(' · '),
        ),
      ),
      spark(bins(counts, end, HOURS, 56), `${count(total)} ${words} of ${name} in 7 days, in parts of 3 hours`),
      h('span', { class: 'trend-sum' }, h('b', {}, count(total)), ` ${words}, 7 days`),
      detail,
    );
    const toggle = (wanted) => {
      detail.hidden = !wanted;
      button.setAttribute('aria-expanded', String(wanted));
      open = wanted ? entry.item : open === entry.item ? null : open;
      if (wanted) fill(detail, entry, counts, end, words);
      else put(detail);
    };
    button.addEventListener('click', () => {
      for (const other of rows.querySelectorAll('.trend-open[aria-expanded="true"]'))
        if (other !== button) other.click();
      toggle(detail.hidden);
    });
    line.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || detail.hidden) return;
      toggle(false);
      button.focus();
    });
    if (open === entry.item) toggle(true);
    return line;
  }

  async function fill(detail, entry, counts, end, words) {
    const width = Math.max(260, Math.min(900, rows.clientWidth - 48));
    const like = h('p', { class: 'sub' }, 'Asking what is like it …');
    put(
      detail,
      h('p', { class: 'sub' }, `${words} an hour, by UTC hour`),
      chart(bins(counts, end, HOURS, HOURS), `${words} of ${entry.title ?? entry.item} an hour, over 7 days`, width),
      like,
    );
    try {
      const similar = await get(`/v1/items/${part(entry.item)}/similar`, { limit: 6 });
      put(
        like,
        similar.items.length
          ? ['Most like it: ', similar.items.map((one) => one.title ?? one.item).join(' · ')]
          : `Nothing is known to be like it${similar.reason ? `: ${similar.reason}` : ''}.`,
      );
    } catch (problem) {
      put(like, problem.words);
    }
  }

  return { load };
}
