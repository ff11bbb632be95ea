// Moves about in lists by keyboard: one stop of the Tab key for each list, arrows within it, and focus that stays where
// it was when entries come and go.

const entriesOf = (grid) => [...grid.querySelectorAll('.entry:not(.gone)')];
const buttonsOf = (entry) => [...entry.querySelectorAll('.act')];

/** Arrows, Home and End among the buttons of a list. */
export function gridKeys(event) {
  const button = event.target.closest?.('.act');
  if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
  const entry = button.closest('.entry');
  const entries = entriesOf(entry.parentElement);
  const column = buttonsOf(entry).indexOf(button);
  const row = entries.indexOf(entry);
  const to = {
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    Home: [row, 0],
    End: [row, buttonsOf(entry).length - 1],
  }[event.key];
  if (!to) return;
  event.preventDefault();
  const next = entries[to[0]] && buttonsOf(entries[to[0]])[to[1]];
  if (next) moveTo(next);
}

function moveTo(button) {
  const grid = button.closest('.entries');
  for (const other of grid.querySelectorAll('.act[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

/** Sees to it that every list has exactly one stop. */
export function settleTabStops(node) {
  for (const grid of node.querySelectorAll('.entries')) {
    const stops = [...grid.querySelectorAll('.act[tabindex="0"]')].filter((stop) => !stop.closest('.gone'));
    stops.slice(1).forEach((stop) => {
      stop.tabIndex = -1;
    });
    if (!stops.length) {
      const first = grid.querySelector('.entry:not(.gone) .act');
      if (first) first.tabIndex = 0;
    }
  }
}

/** Where the focus is, in words that outlive the elements. */
export function focused(node) {
  const button = document.activeElement?.closest?.('.act');
  if (!button || !node.contains(button)) return null;
  const entry = button.closest('.entry');
  return {
    key: button.closest('.list').dataset.key,
    item: entry.dataset.item,
    act: button.dataset.act,
    place: entriesOf(entry.parentElement).indexOf(entry),
  };
}

/** Puts the focus back: to the same button, or to that of the entry which took the place. */
export function refocus(node, focus) {
  if (!focus) return;
  const list =
    [...node.querySelectorAll('.list')].find((one) => one.dataset.key === focus.key) ?? node.querySelector('.list');
  if (!list) return;
  const entries = entriesOf(list);
  const entry =
    entries.find((one) => one.dataset.item === focus.item) ?? entries[Math.min(focus.place, entries.length - 1)];
  const button = entry?.querySelector(`.act[data-act="${focus.act}"]`);
  if (button && document.activeElement !== button) moveTo(button);
}
