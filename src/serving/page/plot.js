// Small plots of counts over time, as SVG: bars, with what each one says in its title. Knows nothing of where counts
// come from.

import { s } from './dom.js';
import { count, exact } from './format.js';

const HOUR = 3_600_000;
const weekday = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric' });

/** Sums of `counts` (`[{ at, count }]`) in `many` equal parts of the `hours` hours that end with the hour of `end`. */
export function bins(counts, end, hours, many) {
  const last = Math.floor(end / HOUR) + 1;
  const first = last - hours;
  const sums = new Array(many).fill(0);
  for (const { at, count: n } of counts) {
    const hour = Math.floor(at / HOUR) - first;
    if (hour >= 0 && hour < hours) sums[Math.floor((hour * many) / hours)] += n;
  }
  return sums.map((sum, place) => ({
    sum,
    from: (first + (place * hours) / many) * HOUR,
    to: (first + ((place + 1) * hours) / many) * HOUR,
  }));
}

/** Bars without axes, for a line of a table. */
export function spark(values, label, width = 320, height = 32) {
  const most = Math.max(1, ...values.map(({ sum }) => sum));
  const step = width / values.length;
  return s(
    'svg',
    { class: 'spark', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label },
    values.map(({ sum }, at) => {
      const tall = sum ? Math.max(1.5, (sum / most) * height) : 1;
      return s('rect', {
        class: sum ? 'bar' : 'bar none',
        x: (at * step).toFixed(1),
        y: (height - tall).toFixed(1),
        width: Math.max(1, step - 1.5).toFixed(1),
        height: tall.toFixed(1),
      });
    }),
  );
}

/** Bars with days below and the highest count beside them. */
export function chart(values, label, width) {
  const height = 148;
  const [top, bottom, left] = [12, 24, 34];
  const most = Math.max(1, ...values.map(({ sum }) => sum));
  const step = (width - left) / values.length;
  const scale = (sum) => (sum / most) * (height - top - bottom);
  const floor = height - bottom;
  return s(
    'svg',
    { class: 'chart', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label },
    [most, Math.round(most / 2)]
      .filter((mark, at, all) => mark > 0 && all.indexOf(mark) === at)
      .map((mark) => [
        s('line', { class: 'axis', x1: left, x2: width, y1: floor - scale(mark), y2: floor - scale(mark) }),
        s('text', { class: 'tick', x: left - 8, y: floor - scale(mark) + 4, 'text-anchor': 'end' }, count(mark)),
      ]),
    values.map((value, at) =>
      s(
        'rect',
        {
          class: value.sum ? 'bar' : 'bar none',
          x: (left + at * step).toFixed(1),
          y: (floor - Math.max(1, scale(value.sum))).toFixed(1),
          width: Math.max(1, step - 1).toFixed(1),
          height: Math.max(1, scale(value.sum)).toFixed(1),
        },
        s('title', {}, `${count(value.sum)} from ${exact(value.from)}`),
      ),
    ),
    days(values, left, step, width).map(({ x, words }) => s('text', { class: 'tick', x, y: height - 6 }, words)),
  );
}

/** Where a UTC day begins, as far apart as the words need. */
function days(values, left, step, width) {
  const marks = [];
  values.forEach(({ from }, at) => {
    const x = left + at * step;
    if (from % (24 * HOUR) === 0 && x < width - 44 && (!marks.length || x - marks.at(-1).x > 52))
      marks.push({ x, words: weekday.format(from) });
  });
  return marks;
}
