// Starts the page: asks for the status each second, wakes the sections, and says when the server is gone and when it is
// back. What each section shows is its own module's matter.

import { get } from './api.js';
import { connection, lookNow, onConnection } from './connection.js';
import { byId, h, put, text } from './dom.js';
import { count, span, tick } from './format.js';
import { startMember } from './member.js';
import { startModels } from './models.js';
import { startPerformance } from './performance.js';
import { startPipeline } from './pipeline.js';
import { startToken } from './token.js';
import { startTrending } from './trending.js';
import { startVariants } from './variants.js';

const STATUS_MS = 1000;
const SLOW_MS = 10_000;

let status = null;
/** Whether a token must be set before it makes sense to ask again. */
let barred = false;
const readOnly = () => Boolean(status?.read_only);
const pipeline = startPipeline();
const trending = startTrending();
const models = startModels(readOnly);
const variants = startVariants(readOnly, () => all());
const performance_ = startPerformance();
let member = null;

onConnection(showConnection);
startToken(() => all());
tick();
every(STATUS_MS, look);
every(SLOW_MS, slow);
look().then(() => {
  member = startMember(() => status);
  slow();
});

async function look() {
  try {
    const before = status;
    status = await get('/v1/status');
    barred = false;
    pipeline.update(status);
    footer();
    if (connection().name === 'live') showConnection(connection());
    // A model that took over, here or elsewhere: its sections say so at once.
    if (before && made(before) !== made(status)) slow();
  } catch (problem) {
    barred = problem.status === 401;
    // The banner says that it is gone, and the token dialog what is missing.
  }
}

/** What the lists are made with, to see whether it changed. */
const made = ({ model, variants: all }) => JSON.stringify([model, all]);

async function slow() {
  await Promise.all([trending.load(), models.load(), variants.load(), performance_.load()]);
}

function all() {
  look();
  slow();
  member?.anew();
}

/** Runs again and again while somebody looks and the server is there, one run at a time. */
function every(ms, run) {
  let busy = false;
  const turn = async () => {
    if (busy || barred || document.hidden || connection().name === 'lost') return;
    busy = true;
    await run();
    busy = false;
  };
  setInterval(turn, ms);
  document.addEventListener('visibilitychange', turn);
}

function showConnection(state, before) {
  document.documentElement.dataset.link = state.name;
  const link = byId('link');
  link.dataset.state = state.name;
  text(
    byId('link-text'),
    {
      wait: 'connecting',
      live: status ? `live, epoch ${count(status.epoch)}` : 'live',
      lost: 'no connection',
      recovering: 'recovering',
    }[state.name],
  );
  if (!before) return;
  const banner = byId('banner');
  banner.hidden = state.name === 'live' || state.name === 'wait';
  if (state.name === 'lost') {
    put(
      banner,
      h(
        'p',
        {},
        h('strong', {}, 'The server does not answer.'),
        ' What you see is as it was. This page asks again by itself. If it was stopped, start it: ',
        h('code', {}, 'nearline run --listen 127.0.0.1:7070 --follow'),
      ),
      h('button', { type: 'button', onclick: lookNow }, 'Ask now'),
    );
  } else if (state.name === 'recovering') {
    put(
      banner,
      h(
        'p',
        {},
        h('strong', {}, 'The server is getting ready.'),
        ` ${state.reason || 'It reads what was committed before it answers.'}`,
      ),
    );
  } else if (before.name === 'lost' || before.name === 'recovering') {
    all();
  }
}

function footer() {
  text(
    byId('foot'),
    `Nearline ${status.version ?? ''}, data in ${status.data}${status.uptime_ms ? `, up for ${span(status.uptime_ms)}` : ''}`,
  );
}
