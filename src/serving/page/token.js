// Asks for the bearer token where the server wants one, and keeps it for this tab (sessionStorage) and nowhere else.

import { keepToken, onTokenWanted, token } from './api.js';
import { byId, h, put } from './dom.js';

/** Wires the button and the dialog; `onSet()` is called when a token was set or taken away. */
export function startToken(onSet) {
  const dialog = byId('token-dialog');
  const button = byId('token-button');
  const field = h('input', { id: 'token-field', type: 'password', autocomplete: 'off', spellcheck: 'false' });
  const words = h('p', {});
  const set = (value) => {
    keepToken(value.trim());
    show();
    dialog.close();
    onSet();
  };
  const form = h(
    'form',
    {
      method: 'dialog',
      onsubmit: (event) => {
        event.preventDefault();
        set(field.value);
      },
    },
    h('h2', { id: 'token-h' }, 'Token'),
    words,
    h('label', { for: 'token-field' }, 'Bearer token'),
    field,
    h('p', { class: 'sub' }, 'It is kept until this tab is closed, and sent to this server alone.'),
    h(
      'div',
      { class: 'buttons' },
      h('button', { type: 'submit', class: 'main' }, 'Use it'),
      h('button', { type: 'button', onclick: () => set('') }, 'Take it away'),
      h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, 'Cancel'),
    ),
  );
  put(dialog, form);

  function show() {
    button.textContent = token() ? 'Token: set' : 'Token';
  }

  function open(why) {
    if (dialog.open) return;
    words.textContent = why;
    field.value = token();
    dialog.showModal();
    field.select();
  }

  let asked = false;
  button.addEventListener('click', () => open('A server that was started with tokens answers those who bring one.'));
  onTokenWanted((had) => {
    // Once by itself; after that the button is there, so that a dialog never comes back while one types elsewhere.
    if (asked && !had) return;
    asked = true;
    open(had ? 'The server does not take this token. Set another one.' : 'This server wants a token.');
  });
  show();
}
