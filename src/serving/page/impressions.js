// What was in sight, sent as impressions: an entry of which half was to be seen for a second, once for a member and a
// list. With the plays and likes that follow, it is what lists and variants are compared by.

import { post } from './api.js';

const SEEN_MS = 1000;
/** What is seen within so long is sent together. */
const TOGETHER_MS = 700;

/** `event(made)` makes the record of an entry, or null where none is to be sent. */
export function impressions(event) {
  const entries = new WeakMap();
  const timers = new WeakMap();
  let sent = new Set();
  let waiting = [];
  let sending = 0;
  /** Whether the server takes none: it only reads, or the token does not allow it. */
  let refused = false;

  const sight = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) {
        clearTimeout(timers.get(target));
        if (isIntersecting && !refused) timers.set(target, setTimeout(() => seen(target), SEEN_MS));
      }
    },
    { threshold: 0.5 },
  );

  function seen(node) {
    const made = entries.get(node);
    if (!made?.row || !node.isConnected || node.inert || document.hidden) return;
    const key = JSON.stringify([made.row.list, made.entry.item]);
    const record = sent.has(key) ? null : event(made);
    if (!record) return;
    sent.add(key);
    waiting.push(record);
    sending ||= setTimeout(send, TOGETHER_MS);
  }

  async function send() {
    const records = waiting;
    waiting = [];
    sending = 0;
    try {
      await post('/v1/events', records);
    } catch (problem) {
      refused = problem.status === 403;
    }
  }

  return {
    /** An entry that is on the page from here on. */
    watch: (made) => {
      entries.set(made.node, made);
      sight.observe(made.node);
    },
    /** Another member: what was seen before was seen by somebody else. */
    clear: () => {
      sight.disconnect();
      sent = new Set();
    },
  };
}
