// Finds a member: a field with suggestions, worked by keyboard as a combobox is (arrows, Enter, Escape).

import { get } from './api.js';
import { h, put } from './dom.js';
import { icon } from './icons.js';

const HOLD_MS = 80;

/** The field; `onPick(member)` is called with the id that was chosen or typed. */
export function search(onPick) {
  const box = h('ul', { id: 'found', role: 'listbox', class: 'found', 'aria-label': 'Members', hidden: true });
  const field = h('input', {
    id: 'find',
    type: 'text',
    role: 'combobox',
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    'aria-expanded': 'false',
    'aria-controls': 'found',
    'aria-autocomplete': 'list',
    placeholder: 'an id, such as m1',
  });
  let options = [];
  let active = -1;
  let timer = 0;
  let aborter = null;

  async function look() {
    aborter?.abort();
    aborter = new AbortController();
    const typed = field.value.trim();
    try {
      const { members } = await get('/v1/members', { query: typed, limit: 12 }, aborter.signal);
      if (document.activeElement === field)
        show(
          typed,
          members.map(({ member }) => member),
        );
    } catch (problem) {
      // A newer look took the place of this one.
      if (problem.name !== 'AbortError') close();
    }
  }

  function show(typed, members) {
    options = members.map((member) => ({ member, words: member }));
    if (typed && !members.includes(typed)) {
      options.push({ member: typed, words: `${typed} – show it as it is typed` });
    }
    put(
      box,
      options.map((option, place) =>
        h(
          'li',
          {
            role: 'option',
            id: `found-${place}`,
            'aria-selected': 'false',
            // Before the field loses its focus, which would close the list.
            onpointerdown: (event) => {
              event.preventDefault();
              pick(option.member);
            },
          },
          option.words,
        ),
      ),
    );
    box.hidden = options.length === 0;
    field.setAttribute('aria-expanded', String(!box.hidden));
    mark(-1);
  }

  function mark(place) {
    active = place;
    [...box.children].forEach((node, at) => node.setAttribute('aria-selected', String(at === place)));
    if (place < 0) return field.removeAttribute('aria-activedescendant');
    field.setAttribute('aria-activedescendant', `found-${place}`);
    box.children[place].scrollIntoView({ block: 'nearest' });
  }

  function close() {
    clearTimeout(timer);
    aborter?.abort();
    box.hidden = true;
    field.setAttribute('aria-expanded', 'false');
    mark(-1);
  }

  function pick(member) {
    field.value = member;
    close();
    onPick(member);
  }

  field.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(look, HOLD_MS);
  });
  field.addEventListener('focus', () => {
    field.select();
    look();
  });
  field.addEventListener('blur', close);
  field.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (box.hidden) return look();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      const places = options.length + 1;
      // One place more than there are options: that of nothing chosen.
      mark(((active + 1 + step + places) % places) - 1);
    } else if (event.key === 'Enter') {
      const member = active >= 0 ? options[active].member : field.value.trim();
      if (member) pick(member);
    } else if (event.key === 'Escape') {
      if (box.hidden) field.value = '';
      else close();
    }
  });

  const node = h(
    'div',
    { class: 'find' },
    h('label', { for: 'find' }, 'Find a member'),
    h('div', { class: 'find-in' }, icon('search'), field, box),
  );
  return {
    node,
    field,
    set: (member) => {
      field.value = member;
    },
  };
}
