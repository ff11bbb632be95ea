// Follows the commits of the server: server-sent events, read by `fetch` because `EventSource` cannot send a token.
// A stream that ends or falls silent is opened again; whoever follows is told to read anew, as commits may have gone by.

import { headers, understood } from './api.js';
import { live, missed } from './connection.js';

/** The server sends a comment every 15 s; after three of them are missing the stream is taken for dead. */
const SILENCE = 45_000;

/**
 * Follows the commits that change the lists of `member`: `onCommit(commit)` for each, `onAnew()` whenever a stream was
 * opened again. Returns a function that ends it.
 */
export function follow(member, onCommit, onAnew) {
  let ended = false;
  let opened = 0;
  let aborter = null;

  const stop = () => aborter?.abort();
  const onVisible = () => (document.hidden ? stop() : null);
  document.addEventListener('visibilitychange', onVisible);

  (async () => {
    let pause = 200;
    while (!ended) {
      await visible();
      await live();
      aborter = new AbortController();
      try {
        await read(`/v1/changes?member=${encodeURIComponent(member)}`, aborter, {
          open: () => {
            pause = 200;
            if (opened++) onAnew();
          },
          commit: (data) => onCommit(JSON.parse(data)),
          // The server could not wait for a slow listener: what went by is in the lists.
          missed: onAnew,
        });
      } catch (problem) {
        if (ended) return;
        if (problem.status === undefined && problem.name !== 'AbortError') missed();
      }
      // A hidden page holds no connection; a lost one waits for the server.
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(5000, pause * 2);
    }
  })();

  return () => {
    ended = true;
    document.removeEventListener('visibilitychange', onVisible);
    stop();
  };
}

async function read(path, aborter, on) {
  const response = await fetch(path, {
    headers: headers({ Accept: 'text/event-stream' }),
    cache: 'no-store',
    signal: aborter.signal,
  });
  if (!response.ok) throw await understood(response);
  on.open();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const silent = setTimeout(() => aborter.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silent));
    if (done) return;
    const { events, left } = parsed(rest + value);
    rest = left;
    for (const event of events) on[event.type]?.(event.data);
  }
}

/** Whole events of a stream's text, and what is left of it. */
export function parsed(stream) {
  const blocks = stream.replaceAll('\r\n', '\n').split('\n\n');
  const left = blocks.pop();
  const events = [];
  for (const block of blocks) {
    const event = { type: 'message', data: [] };
    for (const line of block.split('\n')) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === 'event') event.type = value;
      if (field === 'data') event.data.push(value);
    }
    if (event.data.length) events.push({ type: event.type, data: event.data.join('\n') });
  }
  return { events, left };
}

function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener('visibilitychange', look);
      done();
    };
    document.addEventListener('visibilitychange', look);
  });
}
