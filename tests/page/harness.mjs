// Runs steps in a browser and says of each whether it held: the few words that tests of the page are written in, and
// the watch that is kept meanwhile (errors, forbidden content, other hosts). Not a test itself.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ARGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const base = process.env.NEARLINE_PAGE ?? 'http://127.0.0.1:7070';
const shots = process.env.NEARLINE_SCREENSHOTS ?? 'screenshots';

/** A browser with nothing in it: no profile, no extension, no cache. */
export async function browser() {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: root ? [...ARGS, '--no-sandbox'] : ARGS,
  });
}

const failures = [];
/** What went wrong without anybody asking: it fails the run at the end of the step in which it came. */
const trouble = [];
let passed = 0;

/** Does one thing and says whether it held. What is broken stops this step and no other. */
export async function step(sentence, run) {
  const begun = performance.now();
  let fault = null;
  try {
    await run();
  } catch (error) {
    fault = error.message.split('\n').slice(0, 6).join('\n    ');
  }
  if (trouble.length) fault = [fault, ...trouble.splice(0)].filter(Boolean).join('\n    ');
  const took = `${Math.round(performance.now() - begun)} ms`;
  if (fault) failures.push(sentence);
  else passed += 1;
  console.log(`${fault ? 'FAILED' : 'ok    '}  ${sentence} (${took})${fault ? `\n    ${fault}` : ''}`);
}

/** The end: the count, and the exit code. */
export function finish() {
  console.log(
    failures.length
      ? `\n${failures.length} of ${failures.length + passed} steps failed`
      : `\nall ${passed} steps passed`,
  );
  process.exitCode = failures.length ? 1 : 0;
}

/** Fails the step with these words where `fact` is not so. */
export function hold(fact, words) {
  if (!fact) throw new Error(words);
}

/** A page in a context of its own, watched. `allow` is what the console may say where a step provokes it. */
export async function open(chrome, options = {}, { allow = null } = {}) {
  const context = await chrome.newContext({ viewport: { width: 1320, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      console.error(`forbidden content: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !allow?.test(message.text()))
      trouble.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('pageerror', (error) => trouble.push(`thrown: ${error.stack ?? error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.origin !== new URL(base).origin)
      trouble.push(`asked another host: ${request.url()}`);
  });
  return page;
}

/** A picture for people to look at. */
export async function shot(page, name, fullPage = false) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage });
}

/** Asks the server itself, past the page. */
export async function ask(path, body) {
  const response = await fetch(
    base + path,
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) },
  );
  hold(response.ok, `${path} answered ${response.status}: ${await response.clone().text()}`);
  return response.json();
}

/** Waits until `fact()` is so. */
export async function until(fact, words, ms = 30_000) {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    if (await fact()) return;
    await new Promise((next) => setTimeout(next, 50));
  }
  throw new Error(`${words}: not within ${ms} ms`);
}
