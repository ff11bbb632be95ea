// The variants side by side: whose members they are, what these were shown and did, and how sure the rates are; and the
// way to give every member one of them. Without variants the section is not there.

import { get, part, post } from './api.js';
import { byId, h, put, s, trouble } from './dom.js';
import { brief, count, percent, plural, time } from './format.js';
import { sure } from './models.js';

const WIDE = 132;
const HIGH = 14;

/** `readOnly()` says whether this server takes no changes; `changed()` is called when a variant was promoted. */
export function startVariants(readOnly, changed) {
  const section = byId('variants');
  const link = byId('variants-link');
  const days = h(
    'select',
    { id: 'variants-days', onchange: () => load() },
    [
      [1, 'the last day'],
      [7, '7 days'],
      [30, '30 days'],
      [90, '90 days'],
    ].map(([value, words]) => h('option', { value, selected: value === 30 }, words)),
  );
  const said = h('div', { role: 'status', class: 'said' });
  const out = h('div', {});
  put(
    byId('variants-body'),
    h('div', { class: 'tools' }, h('div', { class: 'setting' }, h('label', { for: 'variants-days' }, 'Over'), days)),
    said,
    out,
  );
  let changing = false;
  let shownOf = '';

  async function load() {
    try {
      const answer = await get('/v1/variants', { days: days.value });
      const none = answer.experiment === null;
      section.hidden = link.hidden = none;
      if (none) return;
      const { variants, promoted, against } = answer;
      const back = Boolean(promoted && (await get('/v1/models')).standby?.ready);
      const key = JSON.stringify([variants, promoted, against, back, changing, readOnly()]);
      if (key === shownOf) return;
      shownOf = key;
      put(
        byId('variants-sub'),
        answer.experiment ? ['experiment ', h('b', {}, answer.experiment), ', '] : null,
        promoted ? [h('b', {}, promoted), ' is every member’s'] : 'each member belongs to one',
        answer.as_of ? [', events up to ', time(answer.as_of)] : null,
      );
      show(answer, back);
    } catch (problem) {
      shownOf = '';
      put(out, trouble(problem));
    }
  }

  function show({ variants, promoted, against }, back) {
    const rates = variants.flatMap(({ click_rate: click, play_rate: play }) => [click, play]).filter(Boolean);
    const most = Math.max(1e-9, ...rates.map(({ high }) => high));
    const held = document.activeElement?.dataset?.variant;
    const heads = ['Variant', 'Members', 'Lists by', 'Impressions', 'Clicks', 'Click rate', 'Plays', 'Play rate', ''];
    put(
      out,
      h(
        'table',
        { class: 'stack variants' },
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            heads.map((name, at) =>
              h(
                'th',
                { scope: 'col', class: [1, 3, 4, 6].includes(at) ? 'n' : '' },
                name || h('span', { class: 'out-of-sight' }, 'What to do'),
              ),
            ),
          ),
        ),
        h(
          'tbody',
          {},
          variants.map((variant) => line(variant, promoted, against, most, back)),
        ),
      ),
      h(
        'p',
        { class: 'sub' },
        'Rates are of an impression; where the true one is to be expected, 95 times in 100, is the bar. Members see several titles each, so that it is wider than it looks.',
      ),
    );
    if (held) [...out.querySelectorAll('button')].find((button) => button.dataset.variant === held)?.focus();
  }

  function line(variant, promoted, against, most, back) {
    const { variant: name, share, members, algorithm, model } = variant;
    const cell = (label, ...value) => h('td', { class: 'n', 'data-label': label }, value);
    const wide = (label, ...value) => h('td', { class: 'wide', 'data-label': label }, value);
    const one = name === promoted;
    return h(
      'tr',
      { class: one ? 'is-live' : '', 'data-variant': name },
      h('th', { scope: 'row' }, name, one ? h('span', { class: 'badge live' }, 'promoted') : null),
      cell('Members', count(members), h('span', { class: 'sub' }, ` ${percent(share)}`)),
      wide('Lists by', h('span', {}, algorithm, model ? [', ', h('code', { title: model }, brief(model))] : null)),
      cell('Impressions', count(variant.impressions)),
      cell('Clicks', count(variant.clicks)),
      wide('Click rate', rate(variant.click_rate, most, against)),
      cell('Plays', count(variant.plays)),
      wide('Play rate', rate(variant.play_rate, most, against)),
      h('td', { class: 'do' }, readOnly() ? null : !promoted ? promote(name, members) : one && back ? rollBack(name) : null),
    );
  }

  const promote = (name, members) =>
    button(name, 'Promote', () => {
      const words = `Every member gets ${name}, which ${plural(members, 'member')} have now. The lists of the others are built beside the live ones, which stay fresh, and one epoch makes them the live ones. What is now stands by for a way back.`;
      change(`/v1/variants/${part(name)}/promote`, undefined, `Promote ${name}?`, words, 'Promote');
    });

  const rollBack = (name) =>
    button(name, 'Roll back', () => {
      const words = 'The lists that were before were kept fresh: one epoch makes them the live ones again.';
      change('/v1/models', { roll_back: true }, 'Roll back to what was before?', words, 'Roll back');
    });

  function button(name, label, onclick) {
    const props = { type: 'button', disabled: changing, 'data-variant': name, 'aria-label': `${label}: ${name}`, onclick };
    return h('button', props, `${label} …`);
  }

  async function change(path, body, question, words, label) {
    if (!(await sure(question, words, label))) return;
    changing = true;
    put(said, h('p', { class: 'sub' }, 'Lists are built beside the live ones …'));
    load();
    try {
      const { variant, epoch } = await post(path, body);
      const now = variant ? `${variant} is every member’s` : 'Members are split again';
      put(said, h('p', { class: 'good' }, `${now} since epoch ${count(epoch)}.`));
      changed();
    } catch (problem) {
      put(said, trouble(problem));
    } finally {
      changing = false;
      load();
    }
  }

  return { load };
}

/** A rate with its interval, drawn from nothing to the most of all, and how it stands to the one that is compared with. */
function rate(found, most, against) {
  if (!found) return h('span', { class: 'sub', title: 'No impressions were sent, or fewer than this' }, '–');
  const { value, low, high, above } = found;
  const x = (part) => (part / most) * WIDE;
  const words = `${percent(value)}, from ${percent(low)} to ${percent(high)}`;
  return [
    s(
      'svg',
      { class: 'interval', width: WIDE, height: HIGH, role: 'img', 'aria-label': words },
      s('title', {}, words),
      s('rect', { class: 'interval-all', x: 0, y: HIGH / 2 - 1, width: WIDE, height: 2 }),
      s('rect', { class: 'interval-bar', x: x(low), y: HIGH / 2 - 3, width: Math.max(1, x(high) - x(low)), height: 6 }),
      s('circle', { class: 'interval-dot', cx: x(value), cy: HIGH / 2, r: 4 }),
    ),
    h('span', { class: 'share' }, percent(value)),
    above ? h('span', { class: 'sub against' }, points(above, against)) : null,
  ];
}

/** A difference in points; one that may be none is said to be open. */
function points({ value, low, high }, against) {
  const sign = (part) => `${part < 0 ? '−' : '+'}${Math.abs(part * 100).toFixed(1)}`;
  const open = low <= 0 && high >= 0;
  return `${sign(value)} points to ${against}, ${open ? 'may be chance' : `${sign(low)} to ${sign(high)}`}`;
}
