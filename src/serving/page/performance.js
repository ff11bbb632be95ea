// How the lists do: impressions, clicks and plays of what each list showed, from the contexts of events, with the rates
// that follow. Sums of whole numbers are made here, by whatever is asked for.

import { get } from './api.js';
import { byId, command, empty, h, put, trouble } from './dom.js';
import { count, listTitle, percent, time } from './format.js';

const BY = [
  ['list', 'list'],
  ['position', 'list and place'],
  ['day', 'day'],
  ['variant', 'variant'],
];

export function startPerformance() {
  const days = h(
    'select',
    { id: 'perf-days', onchange: () => load() },
    [
      [1, 'the last day'],
      [7, '7 days'],
      [30, '30 days'],
      [90, '90 days'],
    ].map(([value, words]) => h('option', { value, selected: value === 30 }, words)),
  );
  const by = h(
    'select',
    { id: 'perf-by', onchange: () => load() },
    BY.map(([value, words]) => h('option', { value }, words)),
  );
  const out = h('div', {});
  put(
    byId('performance-body'),
    h(
      'div',
      { class: 'tools' },
      h('div', { class: 'setting' }, h('label', { for: 'perf-by' }, 'By'), by),
      h('div', { class: 'setting' }, h('label', { for: 'perf-days' }, 'Over'), days),
    ),
    out,
  );
  let shownOf = '';

  async function load() {
    try {
      const { rows, as_of: end } = await get('/v1/performance', { days: days.value });
      put(byId('performance-sub'), 'of what was shown, clicked and played', end ? [', up to ', time(end)] : null);
      const key = JSON.stringify([by.value, rows]);
      if (key !== shownOf)
        put(out, rows.length ? table(sums(rows, by.value), by.selectedOptions[0].textContent) : nothing());
      shownOf = key;
    } catch (problem) {
      shownOf = '';
      put(out, trouble(problem));
    }
  }

  return { load };
}

function nothing() {
  return empty(
    'No list was seen at work yet. An event counts here when its context names the list and the place:',
    command(
      '{"member":"m1","item":"i9","kind":"impression","at":1767322000000,"id":"e-1","context":{"list":"top_picks","position":3}}',
    ),
  );
}

/** The rows of the server, added up by what was asked for; most impressions first, days and places in their order. */
function sums(rows, by) {
  const groups = new Map();
  for (const row of rows) {
    const name = {
      list: listTitle(row.list),
      position: `${listTitle(row.list)}, ${row.position ? `place ${row.position}` : 'no place given'}`,
      day: row.day,
      variant: row.variant ?? 'no variant',
    }[by];
    const group = groups.get(name) ?? {
      name,
      list: row.list,
      position: row.position ?? Infinity,
      impressions: 0,
      clicks: 0,
      plays: 0,
    };
    for (const what of ['impressions', 'clicks', 'plays']) group[what] += row[what] ?? 0;
    groups.set(name, group);
  }
  const order =
    {
      day: (a, b) => b.name.localeCompare(a.name),
      position: (a, b) => a.list.localeCompare(b.list) || a.position - b.position,
    }[by] ?? ((a, b) => b.impressions - a.impressions || a.name.localeCompare(b.name));
  return [...groups.values()].sort(order);
}

function table(groups, by) {
  const best = Math.max(
    1e-9,
    ...groups.flatMap((group) => [share(group.clicks, group), share(group.plays, group)]).filter(Number.isFinite),
  );
  const cell = (label, ...value) => h('td', { class: 'n', 'data-label': label }, value);
  return h(
    'table',
    { class: 'stack' },
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        [by.replace(/^./, (c) => c.toUpperCase()), 'Impressions', 'Clicks', 'Click rate', 'Plays', 'Play rate'].map(
          (name, at) => h('th', { scope: 'col', class: at ? 'n' : '' }, name),
        ),
      ),
    ),
    h(
      'tbody',
      {},
      groups.map((group) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, group.name),
          cell('Impressions', count(group.impressions)),
          cell('Clicks', count(group.clicks)),
          cell('Click rate', meter(share(group.clicks, group), best)),
          cell('Plays', count(group.plays)),
          cell('Play rate', meter(share(group.plays, group), best)),
        ),
      ),
    ),
  );
}

/** Of the impressions; none where nothing was counted as shown. */
const share = (part, { impressions }) => (impressions ? part / impressions : NaN);

function meter(value, best) {
  if (!Number.isFinite(value)) return h('span', { class: 'sub', title: 'No impressions were sent' }, '–');
  const fill = h('i', {});
  fill.style.width = `${Math.min(100, (value / best) * 100)}%`;
  return [h('span', { class: 'meter', 'aria-hidden': 'true' }, fill), h('span', { class: 'share' }, percent(value))];
}
