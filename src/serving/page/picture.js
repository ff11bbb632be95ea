// Draws the pipeline: five stations and what flows between them. Knows shapes and nothing of what they mean; drawn to
// the width that there is, side by side or one below the other, so that text keeps its size.

import { s, still, text } from './dom.js';

const GAP = 34;
const TALL = 150;
const LOW = 74;
const STACKED_GAP = 16;
const NARROW = 860;

/** A picture in `container` of these stations (`[{ key, name }]`). */
export function picture(container, stations) {
  let drawn = null;
  let last = {};
  new ResizeObserver(() => draw()).observe(container);
  draw();

  function draw() {
    const width = Math.floor(container.clientWidth);
    if (!width || drawn?.width === width) return;
    const stacked = width < NARROW;
    const place = stacked ? below(width) : beside(width, stations.length);
    const height = stacked ? stations.length * LOW + (stations.length - 1) * STACKED_GAP : TALL;
    const parts = new Map();
    const edges = stations.slice(1).map((_, at) => edge(place(at), place(at + 1), stacked));
    const svg = s(
      'svg',
      {
        width,
        height,
        viewBox: `0 0 ${width} ${height}`,
        role: 'img',
        'aria-label': 'The pipeline, from sources to lists',
        'aria-describedby': 'picture-words',
      },
      edges.map(({ line, head, dots }) => [line, head, dots]),
      stations.map(({ key, name }, at) => {
        const made = stacked ? stationLow(name, place(at)) : stationTall(name, place(at));
        parts.set(key, made);
        return made.node;
      }),
    );
    container.replaceChildren(svg);
    drawn = { width, edges, parts };
    update(last);
  }

  /** Shows figures: by station `{ figure, unit, lines: [two], series, state }`. */
  function update(figures) {
    last = figures;
    for (const [key, one] of Object.entries(figures)) {
      const made = drawn?.parts.get(key);
      if (!made) continue;
      text(made.figure, one.figure);
      text(made.unit, one.unit ? ` ${one.unit}` : '');
      made.lines.forEach((line, at) => text(line, cut(one.lines[at] ?? '', made.letters)));
      made.node.setAttribute('class', `station ${one.state ?? ''}`);
      if (one.series) plot(made, one.series);
    }
  }

  /** Lets something run along the edges, `times` in the coming second. */
  function pulse(times) {
    if (!drawn || still()) return;
    for (let time = 0; time < times; time += 1) {
      drawn.edges.forEach(({ dots, from, to }, at) => {
        const dot = dots[time % dots.length];
        dot.animate(
          [
            { transform: `translate(${from.x}px, ${from.y}px)`, opacity: 0 },
            { opacity: 1, offset: 0.2 },
            { opacity: 1, offset: 0.8 },
            { transform: `translate(${to.x}px, ${to.y}px)`, opacity: 0 },
          ],
          { duration: 420, delay: (time / times) * 1000 + at * 130, easing: 'ease-in-out' },
        );
      });
    }
  }

  return { update, pulse };
}

const beside = (width, many) => {
  const each = (width - GAP * (many - 1)) / many;
  return (at) => ({ x: at * (each + GAP) + 0.5, y: 0.5, w: each - 1, h: TALL - 1 });
};

const below = (width) => (at) => ({ x: 0.5, y: at * (LOW + STACKED_GAP) + 0.5, w: width - 1, h: LOW - 1 });

function edge(a, b, stacked) {
  const from = stacked ? { x: a.x + 28, y: a.y + a.h } : { x: a.x + a.w, y: a.y + a.h / 2 };
  const to = stacked ? { x: b.x + 28, y: b.y } : { x: b.x, y: b.y + b.h / 2 };
  const head = stacked ? `M${to.x - 4} ${to.y - 6}l4 5 4-5` : `M${to.x - 6} ${to.y - 4}l5 4-5 4`;
  return {
    from,
    to,
    line: s('line', { class: 'edge', x1: from.x, y1: from.y, x2: to.x, y2: to.y }),
    head: s('path', { class: 'edge', d: head }),
    dots: [0, 1, 2, 3].map(() => s('circle', { class: 'dot', r: 3.5, opacity: 0 })),
  };
}

function stationTall(name, { x, y, w, h }) {
  const left = x + 16;
  const node = s(
    'g',
    { class: 'station' },
    s('rect', { x, y, width: w, height: h, rx: 10 }),
    s('text', { class: 'station-name', x: left, y: y + 26 }, name),
  );
  const parts = figures(node, left, y + 60, [y + 84, y + 103]);
  return { node, ...parts, box: { x: left, y: y + h - 34, w: w - 32, h: 22 }, letters: Math.floor((w - 30) / 7) };
}

function stationLow(name, { x, y, w, h }) {
  const left = x + 16;
  const middle = x + Math.max(150, w * 0.5);
  const node = s(
    'g',
    { class: 'station' },
    s('rect', { x, y, width: w, height: h, rx: 10 }),
    s('text', { class: 'station-name', x: left, y: y + 25 }, name),
  );
  const parts = figures(node, left, y + 54, [y + 25, y + 43], middle);
  return {
    node,
    ...parts,
    box: { x: middle, y: y + h - 22, w: x + w - 16 - middle, h: 13 },
    letters: Math.floor((x + w - 12 - middle) / 7),
  };
}

function figures(node, left, y, ys, linesLeft = left) {
  const figure = s('tspan', { class: 'station-figure' });
  const unit = s('tspan', { class: 'station-unit' });
  const lines = ys.map((at) => s('text', { class: 'station-line', x: linesLeft, y: at }));
  const floor = s('line', { class: 'station-floor' });
  const series = s('polyline', { class: 'station-series' });
  node.append(s('text', { x: left, y }, figure, unit), ...lines, floor, series);
  return { figure, unit, lines, series, floor };
}

const cut = (words, letters) => (words.length > letters ? `${words.slice(0, letters - 1)}…` : words);

/** A line through the newest 60 values, the newest at the right, above a floor that is zero. */
function plot({ series: line, floor, box }, series) {
  for (const [name, at] of Object.entries({
    x1: box.x,
    x2: box.x + box.w,
    y1: box.y + box.h + 1,
    y2: box.y + box.h + 1,
  }))
    floor.setAttribute(name, at);
  line.setAttribute('points', series.length > 1 ? points(series, box) : '');
}

function points(series, { x, y, w, h }) {
  const most = Math.max(...series, 1e-9);
  const step = w / 59;
  const first = 60 - series.length;
  return series
    .map((value, at) => `${(x + (first + at) * step).toFixed(1)},${(y + h - (value / most) * h).toFixed(1)}`)
    .join(' ');
}
