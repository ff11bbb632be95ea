// A member's live events, newest first, with a way to take each back as if it had never come.

import { byId, h, put } from './dom.js';
import { FRESH_MS } from './entry.js';
import { icon } from './icons.js';
import { figure, listTitle, percent, plural, time } from './format.js';

/** How many events are shown until more are asked for. */
const FIRST = 20;
const ICONS = new Set(['play', 'like', 'dislike', 'hide']);

/** An event's identity where it has no id. */
const keyOf = ({ id, item, kind, at, value }) => id ?? `${item}|${kind}|${at}|${value}`;

/** The panel; `onRetract(event)` takes one back. */
export function history(onRetract) {
  const node = byId('history');
  let all = false;
  let known = null;
  let last = null;

  function show(answer, readOnly) {
    last = [answer, readOnly];
    // What was shown is no deed of the member's.
    const events = (answer.events ?? []).filter(({ kind }) => kind !== 'impression');
    const fresh = known ? new Set(events.filter((event) => !known.has(keyOf(event))).map(keyOf)) : new Set();
    known = new Set(events.map(keyOf));
    const held = node.contains(document.activeElement)
      ? [...node.querySelectorAll('button')].indexOf(document.activeElement)
      : -1;
    const shown = all ? events : events.slice(0, FIRST);
    put(
      node,
      h(
        'header',
        {},
        h('h3', { id: 'history-h' }, 'History'),
        h('span', { class: 'source' }, plural(events.length, 'event')),
      ),
      events.length
        ? h(
            'ol',
            { class: 'events' },
            shown.map((event) => line(event, fresh.has(keyOf(event)), readOnly)),
          )
        : h('p', { class: 'sub none' }, 'Nothing yet. Play or like a title, and the lists follow.'),
      events.length > FIRST &&
        h(
          'button',
          {
            type: 'button',
            class: 'more-button',
            onclick: () => {
              all = !all;
              show(...last);
            },
          },
          all ? 'Show fewer' : `Show all ${events.length}`,
        ),
    );
    if (fresh.size)
      setTimeout(() => node.querySelectorAll('.entered').forEach((one) => one.classList.remove('entered')), FRESH_MS);
    if (held >= 0) {
      const buttons = node.querySelectorAll('button');
      buttons[Math.min(held, buttons.length - 1)]?.focus();
    }
  }

  function line(event, fresh, readOnly) {
    const name = event.title ?? event.item;
    return h(
      'li',
      {
        class: `event${fresh ? ' entered' : ''}`,
        'data-item': event.item,
        'data-kind': event.kind,
        'data-id': event.id,
      },
      h('span', { class: 'event-kind' }, ICONS.has(event.kind) ? icon(event.kind) : null),
      h(
        'span',
        { class: 'what' },
        h('span', { class: 'title', title: event.item }, name),
        h('span', { class: 'more' }, said(event), ' · ', time(event.at), from(event)),
      ),
      h(
        'button',
        {
          type: 'button',
          class: 'act words',
          disabled: readOnly,
          'aria-label': `Retract: ${said(event)} ${name}`,
          title: event.id ? `Takes back every event of this member with the id ${event.id}` : 'Takes back this event',
          onclick: () => onRetract(event),
        },
        'Retract',
      ),
    );
  }

  return {
    show,
    clear: () => {
      known = null;
      all = false;
      put(node);
    },
  };
}

/** What was done, with how much of it. */
function said({ kind, value }) {
  const word = kind.replaceAll('_', ' ');
  if (kind === 'play') return `${word} ${percent(value)}`;
  return value === 1 || value === undefined ? word : `${word} ${figure(value)}`;
}

/** Which list led to it, and which place there. */
function from({ context }) {
  if (!context?.list) return '';
  return ` · ${listTitle(String(context.list)).toLowerCase()}${context.position ? ` #${context.position}` : ''}`;
}
