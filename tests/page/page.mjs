// The page at `/`, driven as a person drives it: finds a member, plays, hides, likes and takes back, by mouse and by
// keyboard, on a desk and on a phone. The server is a real one over an invented world; scripts/page.sh starts both.

import { faint } from './contrast.mjs';
import { ask, base, browser, finish, hold, open, shot, step, until } from './harness.mjs';

const MEMBER = process.env.NEARLINE_PAGE_MEMBER ?? 'm1';
const chrome = await browser();

const TOP = '[data-list="top_picks"]';
const entries = (page, list = TOP) => page.locator(`${list} .entry:not(.gone)`);
const itemsOf = (page, list = TOP) => entries(page, list).evaluateAll((all) => all.map((one) => one.dataset.item));
const listed = (page, item) => page.locator(`.entry:not(.gone)[data-item="${item}"]`);
const settled = (page) => page.waitForSelector('.outcome[data-state="done"]');
const took = async (page) => Number(await page.locator('#outcome').getAttribute('data-ms'));

/** Opens the page at a member. */
async function at(options = {}, watch = {}) {
  const page = await open(chrome, options, watch);
  await page.goto(`${base}/?member=${MEMBER}`);
  await entries(page).first().waitFor();
  return page;
}

/** Presses Tab until the focus is on what `selector` names; says after how many. */
async function tabTo(page, selector, most = 30) {
  for (let times = 1; times <= most; times += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((name) => document.activeElement?.matches(name), selector)) return times;
  }
  throw new Error(`no ${selector} within ${most} presses of Tab`);
}

const focusOf = (page) => page.evaluate(() => ({ act: document.activeElement?.dataset.act, item: document.activeElement?.closest('.entry')?.dataset.item, row: document.activeElement?.closest('.entry')?.getAttribute('aria-rowindex') }));

// ---- By mouse, on a desk ------------------------------------------------------------------------------------------

const page = await open(chrome, { colorScheme: 'light' });
await step('the policy of the page forbids what does not come from the server as a file', async () => {
  const response = await fetch(`${base}/`);
  const policy = response.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) hold(policy.includes(part), `the policy lacks ${part}: ${policy}`);
  hold(!policy.includes('unsafe'), policy);
});
await step('the page comes up live, with the epoch and the model in the picture', async () => {
  await page.goto(base);
  await page.waitForSelector('.link[data-state="live"]');
  const status = await ask('/v1/status');
  await until(async () => (await page.locator('#picture').textContent()).includes(status.model.slice(0, 8)), 'the model in the picture');
  hold(/epoch [\d,]+/.test(await page.locator('#picture').textContent()), 'no epoch in the picture');
  hold((await page.locator('.station').count()) === 5, 'five stations');
  await page.waitForTimeout(2500);
  await shot(page, 'start-light');
});
await step('a member is found by the first letters of the id', async () => {
  await page.locator('#find').fill(MEMBER.slice(0, 2));
  await page.locator('#found li').first().waitFor();
  await page.locator('#found li', { hasText: new RegExp(`^${MEMBER}$`) }).click();
  await entries(page).first().waitFor();
  hold((await entries(page).count()) === 10, 'ten top picks');
  const { rows } = await ask(`/v1/members/${MEMBER}/page?limit=10`);
  const shown = await page.locator('.list').evaluateAll((all) => all.map((one) => one.dataset.list));
  hold(shown.join() === rows.map((row) => row.list).join(), `rows ${shown} are not those of the server`);
  const first = rows.find((row) => row.list === 'top_picks').items[0];
  const text = await entries(page).first().textContent();
  hold(text.includes(first.title) && text.includes(first.genres[0]), `title and genres are not in: ${text}`);
  hold(new URL(page.url()).searchParams.get('member') === MEMBER, 'the address names the member');
});

let before = [];
let played = '';
await step('a title that is played leaves the list, and the milliseconds are shown', async () => {
  before = await itemsOf(page);
  played = before[1];
  await entries(page).nth(1).locator('[data-act="play"]').click();
  await settled(page);
  hold(!(await itemsOf(page)).includes(played), 'it is still listed');
  hold((await listed(page, played).count()) === 0, 'it is in another list');
  const ms = await took(page);
  hold(ms > 0, `${ms} ms`);
  hold(/^[\d.]+( s)?$/.test(await page.locator('.ms b').textContent()), 'no figure is shown');
  hold((await page.locator(`.entry.gone[data-item="${played}"]`).count()) > 0, 'what left is not marked');
  hold((await page.locator('.mark.up, .mark.new').count()) > 0, 'what moved up is not marked');
  await shot(page, 'played-light');
  const top = await ask(`/v1/members/${MEMBER}/lists/top_picks?limit=100`);
  hold(!top.items.some(({ item }) => item === played), 'the server lists it');
  const { events: [event] } = await ask(`/v1/members/${MEMBER}/history?limit=1`);
  hold(event.item === played && event.kind === 'play' && event.value === 1, JSON.stringify(event));
  hold(event.context?.list === 'top_picks' && event.context?.position === 2, `context: ${JSON.stringify(event.context)}`);
  console.log(`        from click to sight: ${ms.toFixed(1)} ms (${(await page.locator('.legs-line').textContent()).trim()})`);
});
await step('retracted from the history, it comes back and the list is as it was', async () => {
  const event = page.locator(`.event[data-item="${played}"][data-kind="play"]`).first();
  await event.locator('button').click();
  await page.waitForSelector('.outcome[data-state="done"] :text("Retracted")');
  await until(async () => (await itemsOf(page)).join() === before.join(), 'the list as it was');
  hold((await page.locator(`.event[data-item="${played}"][data-kind="play"]`).count()) === 0, 'the event is still in the history');
});
await step('a title that is hidden leaves every list', async () => {
  const [item] = await itemsOf(page);
  await entries(page).first().locator('[data-act="hide"]').click();
  await page.waitForSelector('.outcome[data-state="done"] :text("Hid")');
  hold((await listed(page, item).count()) === 0, 'it is still listed');
});
await step('a like is taken and stands in the history', async () => {
  const item = (await itemsOf(page))[2];
  await entries(page).nth(2).locator('[data-act="like"]').click();
  await page.waitForSelector('.outcome[data-state="done"] :text("Liked")');
  await page.locator(`.event[data-item="${item}"][data-kind="like"]`).waitFor();
});
await step('a dislike takes a title out, and the button beside the figure takes the dislike back', async () => {
  const shown = await itemsOf(page);
  await entries(page).nth(3).locator('[data-act="dislike"]').click();
  await page.waitForSelector('.outcome[data-state="done"] :text("Disliked")');
  hold(!(await itemsOf(page)).includes(shown[3]), 'it is still listed');
  await page.locator('.undo').click();
  await page.waitForSelector('.outcome[data-state="done"] :text("Retracted")');
  await until(async () => (await itemsOf(page)).join() === shown.join(), 'the list as it was');
});
await step('why opens with the parts as bars, and Escape closes it', async () => {
  const entry = entries(page).first();
  await entry.locator('[data-act="why"]').click();
  await entry.locator('.parts li').first().waitFor();
  const wide = await entry.locator('.part-fill').first().evaluate((fill) => fill.getBoundingClientRect().width);
  hold(wide > 20, `the bar of the first part is ${wide} px wide`);
  await shot(page, 'why-light');
  await entry.locator('[data-act="why"]').press('Escape');
  hold(await entry.locator('.why').isHidden(), 'it is still open');
});
await step('a change from elsewhere shows without a click', async () => {
  const item = (await itemsOf(page))[0];
  const status = await ask('/v1/status');
  await ask('/v1/events', [{ member: MEMBER, item, kind: 'play', value: 1, at: status.now + 1000, id: `elsewhere-${Date.now()}` }]);
  await until(async () => !(await itemsOf(page)).includes(item), 'it leaves');
  await page.waitForSelector('.outcome[data-state="elsewhere"]');
});
await step('text from data stays text', async () => {
  const { now } = await ask('/v1/status');
  const item = `odd-${Date.now()}`;
  await ask('/v1/events', [
    { type: 'item', item, at: now, title: '<img src=x onerror=alert(1)><b>bold</b>', genres: ['<i>Odd</i>'] },
    { member: MEMBER, item, kind: 'play', value: 0.5, at: now + 2000, id: `${item}-play` },
  ]);
  const event = page.locator(`.event[data-item="${item}"]`);
  await event.waitFor();
  hold((await event.locator('.title').textContent()).startsWith('<img'), 'the title is not shown as it is');
  hold((await page.locator('main img').count()) === 0, 'it became an image');
  await event.locator('button').click();
  await until(async () => (await event.count()) === 0, 'taken back');
});
await step('trending shows ten titles with plots, and one of them large', async () => {
  await page.locator('.trend .spark .bar').first().waitFor();
  hold((await page.locator('.trend').count()) === 10, 'ten titles');
  await page.locator('.trend-open').first().click();
  await page.locator('.trend-detail .chart .bar').first().waitFor();
  hold((await page.locator('.trend-detail .chart rect').count()) === 168, 'a bar an hour');
  await page.locator('#trending').scrollIntoViewIfNeeded();
  await page.evaluate(() => document.getElementById('trending').scrollIntoView({ behavior: 'instant' }));
  await shot(page, 'trending-light');
  await page.locator('.trend-open').first().press('Escape');
});
await step('the performance of the lists has impressions, clicks and plays', async () => {
  await page.locator('#performance tbody tr').first().waitFor();
  const row = await page.locator('#performance tbody tr', { hasText: 'Top picks' }).first().textContent();
  hold(/[1-9]/.test(row), row);
  await page.locator('#perf-by').selectOption('position');
  await page.locator('#performance th', { hasText: 'place 1' }).first().waitFor();
  await page.locator('#perf-by').selectOption('list');
});
await step('another model takes over and is rolled back', async () => {
  const { live } = await ask('/v1/models');
  await page.evaluate(() => document.getElementById('models').scrollIntoView({ behavior: 'instant' }));
  await page.locator('#model-folder').fill(process.env.NEARLINE_PAGE_MODEL ?? '');
  await page.locator('.model-use button').click();
  await page.locator('#model-dialog .main').click();
  await until(async () => (await ask('/v1/models')).live !== live, 'the other one is live', 60_000);
  await page.locator('.said .good').waitFor({ timeout: 60_000 });
  await page.locator('#models tbody tr.is-live').waitFor();
  await shot(page, 'models-light');
  await page.locator('#models tbody button', { hasText: 'Roll back' }).click();
  await page.locator('#model-dialog .main').click();
  await until(async () => (await ask('/v1/models')).live === live, 'the first one is live again', 60_000);
  await page.locator('.said .good').waitFor();
});
await step('light text can be read', async () => {
  await page.evaluate(() => window.scrollTo(0, 0));
  const words = await page.evaluate(faint);
  hold(words.length === 0, words.join('; '));
  await shot(page, 'whole-light', true);
});
await page.context().close();

// ---- By keyboard alone --------------------------------------------------------------------------------------------

const keys = await open(chrome, { colorScheme: 'dark' });
await step('by keyboard alone: skip, find, play, take back, ask why', async () => {
  await keys.goto(base);
  await keys.waitForSelector('.chip');
  await keys.keyboard.press('Tab');
  hold((await keys.evaluate(() => document.activeElement.textContent)) === 'Skip to the member', 'the first stop is the skip link');
  await keys.keyboard.press('Enter');
  await tabTo(keys, '#find', 3);
  await keys.keyboard.type(MEMBER);
  await keys.locator('#found li').first().waitFor();
  await keys.keyboard.press('ArrowDown');
  await keys.keyboard.press('Enter');
  await entries(keys).first().waitFor();
  hold(await keys.locator('#found').isHidden(), 'the suggestions are still open');
  for (let list = 0; list < 6; list += 1) {
    await tabTo(keys, '.act', 8);
    if (await keys.evaluate(() => document.activeElement.closest('[data-list="top_picks"]'))) break;
  }
  const outline = await keys.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  hold(outline === 'solid', `the focus is not to be seen: ${outline}`);
  await keys.keyboard.press('ArrowDown');
  const there = await focusOf(keys);
  hold(there.act === 'play' && there.row === '2', JSON.stringify(there));
  await keys.keyboard.press('Enter');
  await settled(keys);
  await until(async () => (await listed(keys, there.item).count()) === 0, 'it leaves');
  const after = await focusOf(keys);
  hold(after.act === 'play' && after.row === '2' && after.item !== there.item, `the focus went to ${JSON.stringify(after)}`);
  hold((await keys.locator('#say').textContent()).startsWith('Played'), 'nothing was said');
  await keys.keyboard.press('End');
  await keys.keyboard.press('Enter');
  await keys.locator('.parts li, .why .sub').first().waitFor();
  await keys.keyboard.press('Escape');
  hold((await keys.locator('.why:visible').count()) === 0, 'the reasons are still open');
  await tabTo(keys, '.event .act', 12);
  await keys.keyboard.press('Enter');
  await keys.waitForSelector('.outcome[data-state="done"] :text("Retracted")');
  await until(async () => (await itemsOf(keys)).includes(there.item), 'it comes back');
});
await step('in the dark, text can be read too', async () => {
  const dark = await keys.evaluate(() => getComputedStyle(document.body).backgroundColor);
  hold(dark.match(/\d+/g).every((part) => Number(part) < 60), `the paper is ${dark}`);
  await entries(keys).nth(1).locator('[data-act="why"]').click();
  await keys.locator('.parts li').first().waitFor();
  const words = await keys.evaluate(faint);
  hold(words.length === 0, words.join('; '));
  await shot(keys, 'member-dark');
  await shot(keys, 'whole-dark', true);
});
await step('the theme can be chosen, and is kept', async () => {
  await keys.locator('#theme-button').click();
  const paper = () => keys.evaluate(() => getComputedStyle(document.body).backgroundColor);
  hold((await paper()).match(/\d+/g).every((part) => Number(part) > 200), `light paper is ${await paper()}`);
  await keys.reload();
  hold((await paper()).match(/\d+/g).every((part) => Number(part) > 200), 'it was forgotten');
});
await keys.context().close();

// ---- On a phone ---------------------------------------------------------------------------------------------------

for (const colorScheme of ['light', 'dark']) {
  await step(`on a phone, ${colorScheme}: everything is within 360 pixels`, async () => {
    const phone = await at({ viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme });
    const fits = async (when) => {
      const wide = await phone.evaluate(() => document.documentElement.scrollWidth);
      hold(wide <= 360, `${when}: ${wide} px wide`);
    };
    await phone.waitForSelector('.trend .spark');
    await phone.waitForTimeout(600);
    await fits('at first');
    await shot(phone, `phone-start-${colorScheme}`);
    const item = (await itemsOf(phone))[0];
    await entries(phone).first().locator('[data-act="play"]').tap();
    await settled(phone);
    await phone.waitForTimeout(300);
    await shot(phone, `phone-played-${colorScheme}`);
    await phone.locator('.undo').tap();
    await until(async () => (await itemsOf(phone)).includes(item), 'it comes back');
    await entries(phone).nth(1).locator('[data-act="why"]').tap();
    await phone.locator('.parts li').first().waitFor();
    await phone.locator('.trend-open').first().tap();
    await phone.locator('.chart').waitFor();
    await fits('with reasons and a plot open');
    const small = await phone.locator('.act:visible').evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).filter(({ width, height }) => width < 24 || height < 24).length);
    hold(small === 0, `${small} buttons are smaller than 24 px`);
    await shot(phone, `phone-whole-${colorScheme}`, true);
    await phone.context().close();
  });
}

// ---- When things go wrong -----------------------------------------------------------------------------------------

await step('a lost connection is said, and found again', async () => {
  const lost = await at({}, { allow: /ERR_INTERNET_DISCONNECTED|Failed to load resource/ });
  await lost.context().setOffline(true);
  await lost.waitForSelector('.banner:not([hidden])');
  hold((await lost.locator('#link-text').textContent()) === 'no connection', 'it is not said at the top');
  await shot(lost, 'lost-light');
  await lost.context().setOffline(false);
  await until(() => lost.locator('.banner').isHidden(), 'found again');
  const item = (await itemsOf(lost))[0];
  await entries(lost).first().locator('[data-act="play"]').click();
  await settled(lost);
  await lost.locator('.undo').click();
  await until(async () => (await itemsOf(lost)).includes(item), 'it comes back');
  await lost.context().close();
});
await step('a server that wants a token is given one, for this tab', async () => {
  const guarded = await open(chrome, {}, { allow: /401/ });
  await guarded.route('**/v1/**', (route) => (route.request().headers().authorization === 'Bearer open sesame'
    ? route.continue()
    : route.fulfill({ status: 401, contentType: 'application/problem+json', body: '{"type":"about:blank","title":"Unauthorized","status":401,"detail":"a bearer token is needed"}' })));
  await guarded.goto(`${base}/?member=${MEMBER}`);
  await guarded.locator('#token-field').fill('open sesame');
  await guarded.locator('#token-dialog .main').click();
  await entries(guarded).first().waitFor();
  hold((await guarded.evaluate(() => sessionStorage.length)) === 1, 'it is kept for the tab');
  hold((await guarded.evaluate(() => Object.values(localStorage).join() + document.cookie)).includes('sesame') === false, 'it is kept for longer');
  await guarded.context().close();
});

await chrome.close();
finish();
