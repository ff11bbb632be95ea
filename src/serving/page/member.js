// One member: reads the page and the history, sends what is clicked, and shows each change as it commits. A commit is
// heard of by the stream or by the answer to the click, whichever is first; either leads to the same reading.

import { get, part, post } from './api.js';
import { follow } from './changes.js';
import { onConnection } from './connection.js';
import { pageChanges } from './diff.js';
import { byId, command, empty, h, painted, put, text, trouble } from './dom.js';
import { brief, count, time } from './format.js';
import { history } from './history.js';
import { impressions } from './impressions.js';
import { lists } from './lists.js';
import { announce, done, elsewhere, failed, hideOutcome, idle, sending } from './outcome.js';
import { search } from './search.js';
import { tools } from './tools.js';

/** How often a page that is older than what was committed is asked for again, and how long between. */
const TRIES = 40;
const TRY_MS = 25;

/** Starts the section; `status()` is what the server last said of itself. */
export function startMember(status) {
  const finder = search((member) => choose(member));
  const settings = tools(() => refresh(true));
  const seen = impressions(({ entry, row, place }) => {
    if (!now.page || status()?.read_only || !settings.countsShown()) return null;
    return settings.event(now.member, entry.item, 'impression', row.list, place + 1, now.page);
  });
  const rows = lists(byId('lists'), { act, member: () => now.member, shown: seen.watch });
  const past = history(retract);
  let now = fresh('');
  put(byId('member-tools'), finder.node, settings.node);

  const asked = new URLSearchParams(location.search).get('member');
  if (asked) choose(asked, true);
  else suggest();
  addEventListener('popstate', () => {
    const member = new URLSearchParams(location.search).get('member');
    if (member && member !== now.member) choose(member, true);
    if (!member && now.member) leave();
  });
  onConnection((state, before) => {
    if (state.name === 'live' && before.name !== 'wait') anew();
  });
  return { anew, settings };

  function anew() {
    if (now.member) refresh(true);
    else suggest();
  }

  function choose(member, quietly = false) {
    now.stop();
    now = fresh(member);
    finder.set(member);
    seen.clear();
    rows.clear();
    past.clear();
    idle();
    put(byId('member-note'));
    text(byId('member-h'), member);
    if (!quietly) window.history.pushState(null, '', `?${new URLSearchParams({ member })}#member`);
    refresh(true);
    const mine = now;
    now.stop = follow(
      member,
      (commit) => {
        if (commit.epoch > mine.shown) want(mine, commit.epoch);
      },
      () => refresh(true),
    );
  }

  /** Back to where nobody was chosen. */
  function leave() {
    now.stop();
    now = fresh('');
    finder.set('');
    hideOutcome();
    byId('member-grid').hidden = true;
    text(byId('member-h'), 'A member');
    put(byId('member-sub'));
    suggest();
  }

  /** What a page shows before anybody was chosen. */
  async function suggest() {
    try {
      const { members } = await get('/v1/members', { limit: 12 });
      if (now.member) return;
      put(byId('member-note'), members.length ? chips(members) : nobody());
    } catch (problem) {
      put(byId('member-note'), trouble(problem));
    }
  }

  function chips(members) {
    return h(
      'div',
      { class: 'empty' },
      h('p', {}, 'Choose a member to see their lists, and what made them so. For example:'),
      h(
        'p',
        { class: 'chips' },
        members.map(({ member }) =>
          h(
            'button',
            {
              type: 'button',
              class: 'chip',
              onclick: () => {
                choose(member);
                byId('member-h').focus({ preventScroll: true });
              },
            },
            member,
          ),
        ),
      ),
    );
  }

  function nobody() {
    return empty(
      'Nobody is known yet: no event has come. Load a log, or invent one with “nearline demo”:',
      command('nearline demo --write logs'),
      command('nearline run --listen 127.0.0.1:7070 logs/catalogue.jsonl logs/events.jsonl'),
    );
  }

  function act(kind, entry, row, place, node) {
    const event = settings.event(now.member, entry.item, kind, row.list, place + 1, now.page);
    node.setAttribute('aria-busy', 'true');
    send([event], { kind, item: entry.item, value: event.value, name: entry.title ?? entry.item, event }, node);
  }

  function retract(event) {
    const { title, ...fields } = event;
    const record = event.id
      ? { type: 'retract', member: now.member, id: event.id }
      : { type: 'retract', member: now.member, ...fields };
    send([record], { kind: 'retract', item: event.item, name: `${event.kind} of ${title ?? event.item}` });
  }

  async function send(records, action, node) {
    const mine = now;
    action.clicked = performance.now();
    sending(action);
    mine.sending += 1;
    try {
      const answer = await post('/v1/events', records);
      action.acked = performance.now();
      if (answer.rejected.length) throw rejected(answer.rejected);
      action.epoch = answer.epoch;
      mine.pending.push(action);
      want(mine, answer.epoch);
    } catch (problem) {
      node?.removeAttribute('aria-busy');
      failed(action, problem);
    } finally {
      mine.sending -= 1;
    }
  }

  function want(mine, epoch) {
    mine.wanted = Math.max(mine.wanted, epoch);
    if (mine !== now) return;
    if (mine.wanted > mine.shown) refresh(false);
    else settle(mine);
  }

  /** Reads until what is shown is as new as what is wanted; one reading at a time. */
  async function refresh(force) {
    const mine = now;
    if (!mine.member) return;
    mine.again ||= force;
    if (mine.busy) return;
    mine.busy = true;
    try {
      for (let tries = 0; mine === now && (mine.again || mine.wanted > mine.shown); tries += 1) {
        if (tries > TRIES)
          throw {
            words: 'The lists are not as new as what was committed.',
            todo: 'The server may be behind: see the lag above.',
          };
        if (tries) await new Promise((next) => setTimeout(next, TRY_MS));
        mine.again = false;
        await read(mine);
      }
      if (mine === now) put(byId('member-note'));
    } catch (problem) {
      if (mine === now) put(byId('member-note'), trouble(problem));
      mine.wanted = mine.shown;
    } finally {
      mine.busy = false;
    }
  }

  async function read(mine) {
    const waits = mine.wanted > mine.shown;
    const path = `/v1/members/${part(mine.member)}`;
    const page = await get(`${path}/page`, {
      limit: settings.limit(),
      deadline_ms: 5000,
      ...(waits ? { after: mine.wanted } : {}),
    });
    if (mine !== now || page.epoch < mine.shown) return;
    const readAt = performance.now();
    const first = !mine.page;
    const changes = first || mine.limit !== settings.limit() ? null : pageChanges(mine.page.rows, page.rows);
    const changed = changes && changes.sum.entered + changes.sum.left + changes.sum.moved > 0;
    rows.show(page.rows, changed ? changes : null, Boolean(status()?.read_only));
    byId('member-grid').hidden = false;
    Object.assign(mine, { page, shown: page.epoch, limit: settings.limit() });
    freshness(page);
    settings.dates(page);
    await painted();
    mine.shows.push({ epoch: page.epoch, readAt, seenAt: performance.now(), sum: changes?.sum ?? NONE, changed });
    if (mine.shows.length > 30) mine.shows.shift();
    if (mine !== now) return;
    if (!settle(mine) && changed && !mine.pending.length) later(mine);
    if (first) announce(`${page.rows.length} lists of ${mine.member}`);
    const events = await get(`${path}/history`, {});
    if (mine === now) past.show(events, Boolean(status()?.read_only));
  }

  /** Tells of the clicks that what is shown covers. */
  function settle(mine) {
    const covered = mine.pending.filter((action) => action.epoch <= mine.shown);
    mine.pending = mine.pending.filter((action) => action.epoch > mine.shown);
    for (const action of covered) {
      const show = mine.shows.find(({ epoch }) => epoch >= action.epoch);
      if (!show) {
        mine.pending.push(action);
        continue;
      }
      show.told = true;
      done(
        { ...action, read: show.readAt, seen: Math.max(show.seenAt, show.readAt) },
        show.sum,
        action.event && (() => retract({ ...action.event, title: action.name })),
      );
    }
    return covered.length > 0;
  }

  /** A change from elsewhere; unless the answer to a click turns up, which the stream may be ahead of. */
  function later(mine) {
    const show = mine.shows.at(-1);
    setTimeout(() => {
      if (mine === now && !show.told && !mine.sending) elsewhere(show.epoch, show.sum);
    }, 150);
  }

  function freshness(page) {
    put(
      byId('member-sub'),
      'epoch ',
      h('b', {}, count(page.epoch)),
      page.as_of ? [', events up to ', time(page.as_of)] : null,
      page.model ? [', model ', h('b', { title: page.model }, brief(page.model))] : ', no model',
      page.variant ? `, variant ${page.variant}` : null,
    );
  }
}

const NONE = { entered: 0, left: 0, moved: 0, named: { entered: [], left: [] } };

const fresh = (member) => ({
  member,
  page: null,
  shown: -1,
  wanted: -1,
  busy: false,
  again: false,
  pending: [],
  sending: 0,
  shows: [],
  stop: () => {},
});

function rejected([{ reason }]) {
  return {
    words: `The record was rejected: ${reason}.`,
    todo: 'It is kept in rejected.jsonl of the data folder, with this reason.',
  };
}
