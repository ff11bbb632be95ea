// The pipeline as a picture: what the server says of itself each second, put into five stations. The words below it say
// the same to those who do not see it.

import { byId, command, empty, h, put, text } from './dom.js';
import { brief, bytes, count, plural, rate, span, time } from './format.js';
import { picture } from './picture.js';

const STATIONS = [
  { key: 'sources', name: 'Sources' },
  { key: 'ingest', name: 'Ingest' },
  { key: 'graph', name: 'Graph' },
  { key: 'store', name: 'Store' },
  { key: 'lists', name: 'Lists' },
];
const KEPT = 60;

export function startPipeline() {
  const drawn = picture(byId('picture'), STATIONS);
  const series = { ingest: [], graph: [], store: [], lists: [] };
  let before = null;
  let spoken = 0;

  /** Shows a status. */
  function update(status) {
    const rates = status.rates ?? {};
    const commit = { p50: rates.commit_ms_p50, p99: rates.commit_ms_p99 };
    keep('ingest', rates.records_per_s);
    keep('graph', rates.commits_per_s);
    keep('store', commit.p50);
    keep('lists', rates.refreshes_per_s);
    drawn.update(figures(status, rates, commit));
    const commits = before === null ? 0 : status.epoch - before;
    if (commits > 0) drawn.pulse(Math.min(4, commits));
    before = status.epoch;
    put(
      byId('pipeline-sub'),
      'epoch ',
      h('b', {}, count(status.epoch)),
      status.now ? [', newest event ', time(status.now)] : null,
      status.model ? [', model ', h('b', { title: status.model }, brief(status.model))] : null,
    );
    notes(status);
    if (Date.now() - spoken > 10_000) {
      spoken = Date.now();
      text(byId('picture-words'), words(status, rates, commit));
    }
  }

  function keep(name, value) {
    series[name].push(Number.isFinite(value) ? value : 0);
    if (series[name].length > KEPT) series[name].shift();
  }

  function figures(status, rates, commit) {
    const { counts, sources } = status;
    const reading = sources.filter((source) => !source.at_end);
    const building = status.standby && !status.standby.ready;
    return {
      sources: {
        figure: count(sources.length),
        unit: sources.length === 1 ? 'source' : 'sources',
        lines: [
          sources.length ? named(reading.at(-1) ?? sources.at(-1)) : 'and POST /v1/events',
          status.lag_ms === null ? 'no event yet' : `newest ${span(Math.max(0, status.lag_ms))} old`,
        ],
      },
      ingest: {
        figure: rate(rates.records_per_s),
        unit: 'records/s',
        lines: [`${count(counts.accepted)} accepted`, `${count(counts.rejected)} rejected`],
        series: series.ingest,
        state: counts.rejected > counts.accepted ? 'odd' : '',
      },
      graph: {
        figure: rate(rates.commits_per_s),
        unit: 'epochs/s',
        lines: [
          `epoch ${count(status.epoch)}`,
          building
            ? `building ${brief(status.standby.model)}`
            : status.model
              ? `model ${brief(status.model)}`
              : 'no model yet',
        ],
        series: series.graph,
      },
      store: {
        ...inUnits(commit.p50, 'a commit', 'no commit of late'),
        lines: [
          Number.isFinite(commit.p99) ? `99 % within ${span(commit.p99)}` : 'in the last minute',
          `${bytes(status.on_disk)} on disk`,
        ],
        series: series.store,
      },
      lists: {
        figure: rate(rates.refreshes_per_s),
        unit: 'members/s',
        lines: [`${plural(counts.members, 'member')} met`, `${rate(rates.requests_per_s)} requests/s`],
        series: series.lists,
        state: status.views_pending ? 'odd' : '',
      },
    };
  }

  return { update };
}

/** A length of time as a figure with its unit, for what it is of. */
function inUnits(ms, of, none) {
  const [figure, unit] = span(ms).split(' ');
  return unit ? { figure, unit: `${unit} ${of}` } : { figure, unit: none };
}

const named = ({ source, lines }) => `${count(lines)} lines of ${source.split('/').at(-1)}`;

/** What a person ought to know, and do. */
function notes(status) {
  const node = byId('pipeline-note');
  const key = [status.counts.live_events === 0, !status.model, status.views_pending, status.read_only].join();
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  if (status.counts.live_events === 0) {
    put(
      node,
      empty(
        'No event has come yet. Pipe a log in, or post records to /v1/events:',
        'nearline run --listen 127.0.0.1:7070 events.jsonl',
      ),
    );
  } else if (!status.model) {
    put(
      node,
      empty(
        'There is no model yet, so that members get trending alone. Train one, and let it take over:',
        command('nearline train --out model'),
        command('nearline model use model'),
      ),
    );
  } else if (status.views_pending) {
    put(
      node,
      empty(
        'The views lag behind the records: a bulk load or a rebuild is under way. Lists are whole again when it ends.',
      ),
    );
  } else if (status.read_only) {
    put(node, empty('This server only reads: events and models go to the server that holds the data folder.'));
  } else {
    put(node);
  }
}

function words(status, rates, commit) {
  return (
    `${plural(status.sources.length, 'source')}. ${rate(rates.records_per_s)} records a second are taken in, ${count(status.counts.rejected)} were rejected. ` +
    `The graph is at epoch ${count(status.epoch)}${status.model ? ` with model ${brief(status.model)}` : ' without a model'}. ` +
    `A commit takes ${span(commit.p50)}. The lists of ${rate(rates.refreshes_per_s)} members change each second, of ${plural(status.counts.members, 'member')}.`
  );
}
