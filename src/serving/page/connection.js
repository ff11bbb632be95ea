// Whether the server answers. Where it does not, this asks again, ever more slowly, and tells whoever waits when it is
// back. It is the only place that decides so: a stream or a request that fails only says that it did.

const LONGEST = 5000;
const listeners = new Set();
let state = { name: 'wait', reason: '', next: 0 };
let timer = 0;
let pause = 0;

export const connection = () => state;

/** Calls `listen(state, before)` at every change: `wait`, `live`, `lost` or `recovering`. */
export function onConnection(listen) {
  listeners.add(listen);
  return () => listeners.delete(listen);
}

/** A request was answered. */
export function arrived() {
  if (state.name === 'wait') become({ name: 'live', reason: '', next: 0 });
}

/** A request got no answer: look whether the server is there. */
export function missed() {
  if (timer || state.name === 'lost') return;
  pause = 250;
  look();
}

/** Looks at once, for the impatient. */
export function lookNow() {
  clearTimeout(timer);
  pause = 250;
  look();
}

async function look() {
  timer = -1;
  let found = { name: 'lost', reason: '' };
  try {
    const response = await fetch('/health/ready', { cache: 'no-store', signal: AbortSignal.timeout(4000) });
    const told = await response.json().catch(() => ({}));
    found = response.ok
      ? { name: 'live', reason: '' }
      : { name: 'recovering', reason: told.reason || told.detail || '' };
  } catch {
    // Not there: said below.
  }
  timer = 0;
  if (found.name === 'live') return become({ ...found, next: 0 });
  pause = found.name === 'lost' ? Math.min(LONGEST, pause * 2) : 500;
  become({ ...found, next: Date.now() + pause });
  timer = setTimeout(look, pause);
}

function become(next) {
  const before = state;
  state = next;
  for (const listen of listeners) listen(state, before);
}

/** Resolves when the server answers. */
export function live() {
  if (state.name === 'live') return Promise.resolve();
  return new Promise((done) => {
    const stop = onConnection((now) => {
      if (now.name !== 'live') return;
      stop();
      done();
    });
  });
}
