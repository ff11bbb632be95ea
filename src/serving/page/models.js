// Model versions: which is live, which stands by, and the two ways from one to another: take over and roll back. A
// take-over builds lists beside the live ones; how far it is, is asked while it runs.

import { get, post } from './api.js';
import { byId, command, empty, h, put, trouble } from './dom.js';
import { brief, count, figure, plural, time } from './format.js';

const LOOK_MS = 400;

/** `readOnly()` says whether this server takes no changes. */
export function startModels(readOnly) {
  const body = byId('models-body');
  const progress = h('div', { class: 'progress', hidden: true });
  const said = h('div', { role: 'status', class: 'said' });
  const table = h('div', {});
  const folder = h('input', {
    id: 'model-folder',
    type: 'text',
    placeholder: '/path/of/model',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const form = h(
    'form',
    {
      class: 'tools model-use',
      onsubmit: (event) => {
        event.preventDefault();
        if (folder.value.trim()) change({ use: folder.value.trim() }, `the model in ${folder.value.trim()}`);
      },
    },
    h('div', { class: 'setting wide' }, h('label', { for: 'model-folder' }, 'A model folder on the server'), folder),
    h('button', { type: 'submit' }, 'Take over …'),
  );
  put(body, progress, said, table, form);
  let changing = false;
  let shownOf = '';

  async function load() {
    try {
      const answer = await get('/v1/models');
      const beside = answer.standby && !answer.standby.ready ? answer.standby : null;
      building(beside);
      const key = JSON.stringify([answer, changing, readOnly()]);
      if (key !== shownOf) show(answer);
      shownOf = key;
    } catch (problem) {
      put(table, trouble(problem));
    }
  }

  function show(answer) {
    const { models, standby } = answer;
    form.hidden = readOnly();
    put(
      byId('models-sub'),
      models.length
        ? [
            plural(models.length, 'version'),
            answer.live ? [', live: ', h('b', { title: answer.live }, brief(answer.live))] : ', none live',
          ]
        : null,
    );
    if (!models.length) {
      put(
        table,
        empty(
          'No model yet: members get trending. Train one from the records of the data folder, and let it take over:',
          command('nearline train --out model'),
          command('nearline model use model'),
        ),
      );
      return;
    }
    const held = document.activeElement?.dataset?.version;
    put(
      table,
      h(
        'table',
        { class: 'stack' },
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Version', 'State', 'Rank', 'Items', 'Members', 'λ', 'α₀', 'Loss', 'Trained', ''].map((name, at) =>
              h(
                'th',
                { scope: 'col', class: at > 1 && at < 8 ? 'n' : '' },
                name || h('span', { class: 'out-of-sight' }, 'What to do'),
              ),
            ),
          ),
        ),
        h(
          'tbody',
          {},
          models.map((model) => line(model, standby)),
        ),
      ),
    );
    if (held) [...table.querySelectorAll('button')].find((button) => button.dataset.version === held)?.focus();
  }

  function line(model, standby) {
    const waits = standby?.model === model.version && !model.live;
    const state = model.live
      ? h('span', { class: 'badge live' }, model.variants?.length ? model.variants.join(', ') : 'live')
      : model.standby
        ? h('span', { class: 'badge' }, standby.ready ? 'stands by' : 'being built')
        : h('span', { class: 'sub' }, 'kept');
    const cell = (label, value, kind = 'n') => h('td', { class: kind, 'data-label': label }, value);
    return h(
      'tr',
      { class: model.live ? 'is-live' : '' },
      h('th', { scope: 'row' }, h('code', { title: model.version }, brief(model.version))),
      h(
        'td',
        { 'data-label': 'State', class: 'state' },
        h(
          'span',
          {},
          state,
          waits && standby.ready && standby.since ? h('span', { class: 'sub' }, ' since ', time(standby.since)) : null,
        ),
      ),
      cell('Rank', count(model.rank)),
      cell('Items', count(model.items)),
      cell('Members', count(model.members)),
      cell('λ', figure(model.lambda)),
      cell('α₀', figure(model.alpha0)),
      cell('Loss', figure(model.loss)),
      cell('Trained', model.trained_at ? time(moment(model.trained_at)) : 'not said', ''),
      h('td', { class: 'do' }, model.live || readOnly() || (model.standby && !waits) ? null : action(model, waits && standby.ready)),
    );
  }

  function action(model, back) {
    const label = back ? 'Roll back' : 'Take over';
    return h(
      'button',
      {
        type: 'button',
        disabled: changing,
        'data-version': model.version,
        'aria-label': `${label}: ${brief(model.version)}`,
        onclick: () =>
          change(back ? { roll_back: true } : { promote: model.version }, `model ${brief(model.version)}`, back),
      },
      back ? 'Roll back …' : 'Take over …',
    );
  }

  async function change(body_, name, back = false) {
    if (!(await (back ? sureBack(name) : sureUse(name)))) return;
    changing = true;
    put(said);
    const looking = setInterval(load, LOOK_MS);
    load();
    try {
      const { model, variant, previous, epoch } = await post('/v1/models', body_);
      put(
        said,
        h(
          'p',
          { class: 'good' },
          variant
            ? `Variant ${variant} is every member’s since epoch ${count(epoch)}.`
            : `Model ${brief(model)} is live since epoch ${count(epoch)}.`,
          previous ? ` ${brief(previous)} stands by: the way back is taken at once.` : '',
        ),
      );
    } catch (problem) {
      put(said, trouble(problem));
    } finally {
      clearInterval(looking);
      changing = false;
      progress.hidden = true;
      load();
    }
  }

  function building(state) {
    progress.hidden = !state && !changing;
    if (progress.hidden) return;
    const bar = h(
      'progress',
      state?.members
        ? { max: state.members, value: state.built, 'aria-label': 'Lists built' }
        : { 'aria-label': 'Taking over' },
    );
    put(
      progress,
      h(
        'p',
        {},
        'Lists are built beside the live ones, which stay fresh meanwhile. ',
        state?.members ? h('b', {}, `${count(state.built)} of ${plural(state.members, 'member')}`) : null,
      ),
      bar,
    );
  }

  return { load };
}

const sureBack = (name) =>
  sure(
    `Roll back to ${name}?`,
    'Its lists were kept fresh: one epoch makes them the live ones again, for every member.',
    'Roll back',
  );
const sureUse = (name) =>
  sure(
    `Let ${name} take over?`,
    'The lists of every member are built beside the live ones. One epoch makes them the live ones; the model of now stands by for a way back.',
    'Take over',
  );

/** Asks before the lists of members change. */
export function sure(question, words, label) {
  const dialog = byId('model-dialog');
  return new Promise((answer) => {
    const end = (yes) => {
      dialog.close();
      answer(yes);
    };
    put(
      dialog,
      h('h2', { id: 'model-h' }, question),
      h('p', {}, words),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', class: 'main', onclick: () => end(true) }, label),
        h('button', { type: 'button', class: 'quiet', onclick: () => end(false) }, 'Cancel'),
      ),
    );
    dialog.oncancel = () => answer(false);
    dialog.showModal();
  });
}

const moment = (at) => (typeof at === 'number' ? at : Date.parse(at));
