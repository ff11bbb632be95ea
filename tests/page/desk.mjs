// By mouse, on a desk: finds a member, plays, hides, likes and takes back, and looks at every section.

import { faint } from './contrast.mjs';
import { ask, base, hold, open, shot, step, until } from './harness.mjs';
import { MEMBER, entries, itemsOf, listed, settled, took } from './sights.mjs';

export async function desk(chrome) {
  const page = await open(chrome, { colorScheme: 'light' });
  await step('the policy of the page forbids what does not come from the server as a file', async () => {
    const response = await fetch(`${base}/`);
    const policy = response.headers.get('content-security-policy') ?? '';
    for (const part of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
    ])
      hold(policy.includes(part), `the policy lacks ${part}: ${policy}`);
    hold(!policy.includes('unsafe'), policy);
  });
  await step('the page comes up live, with the epoch and the model in the picture', async () => {
    await page.goto(base);
    await page.waitForSelector('.link[data-state="live"]');
    const status = await ask('/v1/status');
    await until(
      async () => (await page.locator('#picture').textContent()).includes(status.model.slice(0, 8)),
      'the model in the picture',
    );
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
    // It is seen for some seconds only: looked out for from before the click.
    const gone = page.waitForSelector(`.entry.gone[data-item="${played}"]`);
    await entries(page).nth(1).locator('[data-act="play"]').click();
    await settled(page);
    await gone;
    hold(!(await itemsOf(page)).includes(played), 'it is still listed');
    hold((await listed(page, played).count()) === 0, 'it is in another list');
    const ms = await took(page);
    hold(ms > 0, `${ms} ms`);
    hold(/^[\d.]+( s)?$/.test(await page.locator('.ms b').textContent()), 'no figure is shown');
    hold((await page.locator('.mark.up, .mark.new').count()) > 0, 'what moved up is not marked');
    await shot(page, 'played-light');
    const top = await ask(`/v1/members/${MEMBER}/lists/top_picks?limit=100`);
    hold(!top.items.some(({ item }) => item === played), 'the server lists it');
    const { events } = await ask(`/v1/members/${MEMBER}/history?limit=100`);
    const event = events.find(({ kind }) => kind !== 'impression');
    hold(event.item === played && event.kind === 'play' && event.value === 1, JSON.stringify(event));
    hold(
      event.context?.list === 'top_picks' && event.context?.position === 2,
      `context: ${JSON.stringify(event.context)}`,
    );
    console.log(
      `        from click to sight: ${ms.toFixed(1)} ms (${(await page.locator('.legs-line').textContent()).trim()})`,
    );
  });
  await step('retracted from the history, it comes back and the list is as it was', async () => {
    const event = page.locator(`.event[data-item="${played}"][data-kind="play"]`).first();
    await event.locator('button').click();
    await page.waitForSelector('.outcome[data-state="done"] :text("Retracted")');
    await until(async () => (await itemsOf(page)).join() === before.join(), 'the list as it was');
    hold(
      (await page.locator(`.event[data-item="${played}"][data-kind="play"]`).count()) === 0,
      'the event is still in the history',
    );
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
    const wide = await entry
      .locator('.part-fill')
      .first()
      .evaluate((fill) => fill.getBoundingClientRect().width);
    hold(wide > 20, `the bar of the first part is ${wide} px wide`);
    await shot(page, 'why-light');
    await entry.locator('[data-act="why"]').press('Escape');
    hold(await entry.locator('.why').isHidden(), 'it is still open');
  });
  await step('a change from elsewhere shows without a click', async () => {
    const item = (await itemsOf(page))[0];
    const status = await ask('/v1/status');
    await ask('/v1/events', [
      { member: MEMBER, item, kind: 'play', value: 1, at: status.now + 1000, id: `elsewhere-${Date.now()}` },
    ]);
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
    await page.locator('#models tbody tr.is-live').first().waitFor();
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
}
