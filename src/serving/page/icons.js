// The few signs on the page, drawn for it. Each stands beside a label, never for one.

import { s } from './dom.js';

const THUMB = [
  'M7.5 10.5 11 3.5c1.4 0 2.4 1 2.4 2.3V9.5h4.3c1.3 0 2.2 1.1 1.9 2.4l-1.4 6.5c-.2 1.1-1.1 1.8-2.2 1.8H7.5z',
  'M7.5 10.5H4v9.7h3.5',
];

const PATHS = {
  play: ['M7.5 4.5v15l12-7.5z'],
  like: THUMB,
  dislike: THUMB,
  hide: [
    'M3 12c5-7.5 13-7.5 18 0-5 7.5-13 7.5-18 0z',
    'M14.5 12a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z',
    'M4.5 4.5l15 15',
  ],
  retract: ['M8.5 5 4 9.5 8.5 14', 'M4 9.5h10a5.5 5.5 0 0 1 0 11h-3'],
  search: ['M16.5 11a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0z', 'M15 15l5 5'],
};

export function icon(name) {
  return s(
    'svg',
    { class: `icon ${name}`, viewBox: '0 0 24 24', width: 18, height: 18, 'aria-hidden': 'true', focusable: 'false' },
    PATHS[name].map((d) => s('path', { d })),
  );
}
