// Numbers with their units and times as people say them, relative in the text and absolute in the title.

import { h, text } from './dom.js';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const absolute = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
});
const shortDay = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value) => (known(value) ? whole.format(value) : '–');

/** A rate or a score: three significant digits are enough to see it change. */
export function figure(value) {
  if (!known(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return whole.format(value);
  if (size >= 10) return value.toFixed(1);
  if (size === 0) return '0';
  return value.toFixed(size >= 1 ? 2 : 3);
}

/** A rate per second; the idle pipeline shows 0, not 0.000. */
export const rate = (value) =>
  known(value) ? (value < 0.05 ? '0' : value < 10 ? value.toFixed(1) : whole.format(value)) : '–';

/** Milliseconds as a length of time: 4.2 ms, 1.3 s, 5 min, 3 days. */
export function span(ms) {
  if (!known(ms)) return '–';
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  if (minutes < 90) return `${Math.round(minutes)} min`;
  const hours = minutes / 60;
  if (hours < 36) return `${Math.round(hours)} h`;
  return `${whole.format(hours / 24)} days`;
}

/** How long ago, to the second and no finer: it is read, not measured. */
export function ago(at, now = Date.now()) {
  const ms = now - at;
  if (Math.abs(ms) < 1500) return 'just now';
  if (ms < 0) return `in ${span(-ms)}`;
  if (ms > 320 * 86_400_000) return day(at);
  return `${span(Math.round(ms / 1000) * 1000).replace('.0 s', ' s')} ago`;
}

export const day = (at) => shortDay.format(at);
export const exact = (at) => absolute.format(at);

export function bytes(value) {
  if (!known(value)) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A share of one as a percentage. */
export const percent = (value) =>
  known(value) ? `${(value * 100).toFixed(value >= 0.1 || value === 0 ? 0 : 1)} %` : '–';

/** One of something, or many: plural(1, 'event') is "1 event". */
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;

/** The head of a version, which is a long hash. */
export const brief = (version) => (version ? version.slice(0, 8) : 'none');

/** A moment: relative, with the absolute time in its title; kept current. */
export function time(at) {
  const node = h('time', { datetime: new Date(at).toISOString(), title: exact(at), 'data-at': at }, ago(at));
  return node;
}

/** Keeps every moment on the page current. */
export function tick() {
  setInterval(() => {
    const now = Date.now();
    for (const node of document.querySelectorAll('time[data-at]')) text(node, ago(Number(node.dataset.at), now));
  }, 1000);
}

const LISTS = {
  top_picks: 'Top picks',
  continue_watching: 'Continue watching',
  because_you_watched: 'Because you watched',
  popular_with_people_like_you: 'Popular with people like you',
  watched_together: 'Watched with what you watched',
  trending: 'Trending',
  new: 'New',
  rank: 'Ranked on request',
};

/** A list's name as a title. */
export const listTitle = (list) => LISTS[list] ?? list.replaceAll('_', ' ').replace(/^./, (c) => c.toUpperCase());
