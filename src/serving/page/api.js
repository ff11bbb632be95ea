// Asks the server. Every failure leaves here as a `Problem` that a person can read: what happened, and what to do.
// The token is kept for this browser tab alone.

import { arrived, missed } from './connection.js';

const TOKEN = 'nearline-token';
let askForToken = () => {};

/** What went wrong, in words, and what to do about it. */
export class Problem extends Error {
  constructor(words, todo, status = 0, wait = 0) {
    super(words);
    Object.assign(this, { words, todo, status, wait });
  }
}

export const token = () => sessionStorage.getItem(TOKEN) ?? '';

export function keepToken(value) {
  if (value) sessionStorage.setItem(TOKEN, value);
  else sessionStorage.removeItem(TOKEN);
}

/** Who is to be told when the server wants a token. */
export function onTokenWanted(ask) {
  askForToken = ask;
}

/** The headers of every request. */
export const headers = (more = {}) => (token() ? { ...more, Authorization: `Bearer ${token()}` } : more);

export const get = (path, query = {}, signal = undefined) => ask('GET', path + inQuery(query), undefined, signal);
export const post = (path, body) => ask('POST', path, body);

/** A part of a path: ids may hold anything. */
export const part = encodeURIComponent;

function inQuery(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return given.length ? `?${new URLSearchParams(given)}` : '';
}

async function ask(method, path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method,
      signal,
      cache: 'no-store',
      headers: headers(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    missed();
    throw new Problem('The server cannot be reached.', 'Is it running? This page asks again by itself.');
  }
  arrived();
  if (response.ok) return response.json();
  throw await understood(response);
}

/** A response that is no answer, in words. */
export async function understood(response) {
  const told = await response.json().catch(() => ({}));
  const detail = told.detail || told.title || `The server answered ${response.status}.`;
  const words = detail.charAt(0).toUpperCase() + detail.slice(1) + (/[.!?]$/.test(detail) ? '' : '.');
  const wait = Number(response.headers.get('Retry-After')) || 0;
  if (response.status === 401) askForToken(Boolean(token()));
  return new Problem(words, todo(response.status, wait), response.status, wait);
}

function todo(status, wait) {
  switch (status) {
    case 401:
      return 'Set the token of this server with the button “Token” at the top.';
    case 403:
      return 'The token does not allow this, or the server only reads: use one with the scope that it needs.';
    case 404:
      return 'It may have gone meanwhile: reload the page.';
    case 409:
      return 'Something else is under way: wait until it is done.';
    case 413:
      return 'Send less at once.';
    case 429:
      return `The pipeline is behind: try again in ${wait || 1} s.`;
    case 503:
      return 'The server is busy or still getting ready: try again in a moment.';
    default:
      return status >= 500 ? 'The log of the server says more; NEARLINE_LOG=info makes it speak.' : '';
  }
}
