// Variants: what is in sight is counted for them, the panel compares them, and one is promoted and taken back.

import { faint } from './contrast.mjs';
import { ask, hold, shot, step, until } from './harness.mjs';
import { MEMBER, at, entries, settled } from './sights.mjs';

const impressionsOf = async (member) => {
  const { events } = await ask(`/v1/members/${member}/history`);
  return events.filter(({ kind }) => kind === 'impression');
};
const keyOf = ({ item, context }) => `${context.list} ${item}`;
const of = (answer, name) => answer.variants.find(({ variant }) => variant === name);

export async function variants(chrome) {
  const { variant: own } = await ask(`/v1/members/${MEMBER}/page`);
  const other = ['control', 'wider'].find((name) => name !== own);
  const before = await ask('/v1/variants?days=30');
  const known = new Set((await impressionsOf(MEMBER)).map((event) => event.id));
  const page = await at(chrome, { colorScheme: 'light', viewport: { width: 1320, height: 1400 } });
  await step('the variant of the member is named', async () => {
    hold(['control', 'wider'].includes(own), `${MEMBER} is of ${own}`);
    hold((await page.locator('#member-sub').textContent()).includes(`variant ${own}`), 'it is not said');
  });
  await step('what is in sight for a second is counted as shown, once, with list, place and variant', async () => {
    let shown = [];
    await until(async () => {
      shown = (await impressionsOf(MEMBER)).filter(({ id }) => !known.has(id));
      return shown.some(({ context }) => context.list === 'top_picks');
    }, 'impressions of top picks');
    await page.waitForTimeout(2500);
    shown = (await impressionsOf(MEMBER)).filter(({ id }) => !known.has(id));
    hold(new Set(shown.map(keyOf)).size === shown.length, 'an entry was counted twice');
    const listed = await entries(page).evaluateAll((all) => all.map((one) => one.dataset.item));
    for (const { item, context } of shown.filter(({ context: { list } }) => list === 'top_picks')) {
      hold(listed[context.position - 1] === item, `${item} is said to be at place ${context.position}`);
      hold(context.variant === own, JSON.stringify(context));
    }
    const counted = of(await ask('/v1/variants?days=30'), own).impressions;
    hold(counted === of(before, own).impressions + shown.length, `${counted} impressions`);
    hold((await page.locator('.event[data-kind="impression"]').count()) === 0, 'the history shows them');
  });
  await step('a play names the variant, and counts for it', async () => {
    await entries(page).first().locator('[data-act="play"]').click();
    await settled(page);
    const { events } = await ask(`/v1/members/${MEMBER}/history`);
    const { context } = events.find(({ kind }) => kind === 'play');
    hold(context.variant === own && context.list === 'top_picks', JSON.stringify(context));
    hold(of(await ask('/v1/variants?days=30'), own).plays === of(before, own).plays + 1, 'the play is not counted');
    await page.locator('.undo').click();
    await page.waitForSelector('.outcome[data-state="done"] :text("Retracted")');
  });
  await step('where it is not wanted, nothing is counted as shown', async () => {
    await page.locator('#shown').selectOption('');
    await page.locator('#length').selectOption('20');
    await until(async () => (await entries(page).count()) === 20, 'twenty entries');
    const now = (await impressionsOf(MEMBER)).length;
    await page.evaluate(() => window.scrollBy({ top: 500, behavior: 'instant' }));
    await page.waitForTimeout(2500);
    hold((await impressionsOf(MEMBER)).length === now, 'some were counted');
  });
  await step('the panel compares them, with intervals', async () => {
    await page.reload();
    const rows = page.locator('#variants tbody tr');
    await rows.first().waitFor();
    hold((await rows.count()) === 2, 'two variants');
    const answer = await ask('/v1/variants?days=30');
    const row = page.locator(`#variants tr[data-variant="${own}"]`);
    hold((await row.locator('td').first().textContent()).includes(String(of(answer, own).members)), 'its members');
    await until(async () => (await row.locator('.interval').count()) === 2, 'two intervals');
    const wide = await row
      .locator('.interval-bar')
      .first()
      .evaluate((bar) => bar.getBoundingClientRect().width);
    hold(wide >= 1, `the interval is ${wide} px wide`);
    await page.evaluate(() => document.getElementById('variants').scrollIntoView({ behavior: 'instant' }));
    await shot(page, 'variants-light');
    const words = await page.evaluate(faint);
    hold(words.length === 0, words.join('; '));
  });
  await step('one is promoted, and every member is of it; and taken back', async () => {
    await page.locator(`#variants tr[data-variant="${other}"] button`).click();
    await page.locator('#model-dialog .main').click();
    await until(async () => (await ask('/v1/variants')).promoted === other, 'it is promoted', 60_000);
    await page.locator(`#variants tr[data-variant="${other}"] .badge.live`).waitFor();
    await until(
      async () => (await page.locator('#member-sub').textContent()).includes(`variant ${other}`),
      'the member is of the other one',
    );
    await page.locator('#variants .said .good').waitFor();
    await shot(page, 'variants-promoted-light');
    await page.locator('#variants button', { hasText: 'Roll back' }).click();
    await page.locator('#model-dialog .main').click();
    await until(async () => !(await ask('/v1/variants')).promoted, 'members are split again', 60_000);
    await until(
      async () => (await page.locator('#member-sub').textContent()).includes(`variant ${own}`),
      'the member is of its own one',
    );
  });
  await page.context().close();
}
