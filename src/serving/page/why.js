// Why an item is in a member's list: what each past event adds to its score as small bars, or which rule keeps it out.

import { get, part } from './api.js';
import { h, put, trouble } from './dom.js';
import { brief, figure, time } from './format.js';

const SHOWN = 8;

/** Fills `node` with the reasons. */
export async function why(node, member, entry, list) {
  if (!node.childElementCount) put(node, h('p', { class: 'sub' }, 'Asking why …'));
  try {
    const answer = await get(`/v1/members/${part(member)}/why/${part(entry.item)}`);
    put(node, summary(answer, list), keptOut(answer), parts(answer));
  } catch (problem) {
    put(node, trouble(problem));
  }
}

function summary(answer, list) {
  const words = [];
  if (answer.position) words.push(`Place ${answer.position} of top picks`);
  if (answer.score !== null && answer.score !== undefined) words.push(`score ${figure(answer.score)}`);
  if (answer.model) words.push(`model ${brief(answer.model)}`);
  const said = OF_LIST[list];
  return h('p', { class: 'why-sum' }, said ? `${said} ` : null, words.length ? `${words.join(', ')}.` : null);
}

const OF_LIST = {
  trending: 'Here because many members turn to it of late.',
  new: 'Here because it is new in the catalogue.',
  continue_watching: 'Here because it was begun and not finished.',
  because_you_watched: 'Here because it is like what was watched last.',
  watched_together: 'Here because others have watched it who have watched the same.',
  popular_with_people_like_you: 'Here because those like it whose taste is nearest.',
};

function keptOut({ kept_out: reasons }) {
  if (!reasons?.length) return null;
  return h(
    'ul',
    { class: 'kept-out', 'aria-label': 'What keeps it out of top picks' },
    reasons.map((reason) => h('li', {}, `Not in top picks: ${reason}`)),
  );
}

function parts({ parts: all }) {
  if (!all?.length) return h('p', { class: 'sub' }, 'No past event adds to its score.');
  const most = Math.max(...all.map(({ adds }) => Math.abs(adds)));
  const shown = [...all].sort((a, b) => Math.abs(b.adds) - Math.abs(a.adds)).slice(0, SHOWN);
  const rest = all.length - shown.length;
  const restAdds = all.reduce((sum, { adds }) => sum + adds, 0) - shown.reduce((sum, { adds }) => sum + adds, 0);
  return [
    h(
      'ol',
      { class: 'parts', 'aria-label': 'What past events add to the score' },
      shown.map((one) => bar(one, most)),
    ),
    rest > 0 && h('p', { class: 'sub' }, `and ${rest} more, ${signed(restAdds)} together`),
  ];
}

function bar({ item, title, kind, at, adds }, most) {
  const fill = h('span', { class: `part-fill ${adds < 0 ? 'against' : ''}` });
  fill.style.width = `${Math.max(2, (Math.abs(adds) / most) * 100)}%`;
  return h(
    'li',
    {},
    h(
      'span',
      { class: 'part-what' },
      h('b', {}, title ?? item),
      ' ',
      h('span', { class: 'sub' }, kind, ', ', time(at)),
    ),
    h('span', { class: 'part-bar', 'aria-hidden': 'true' }, fill),
    h('span', { class: 'part-adds' }, signed(adds)),
  );
}

const signed = (value) => `${value < 0 ? '−' : '+'}${figure(Math.abs(value))}`;
