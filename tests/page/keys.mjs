// By keyboard alone, and in the dark: the main path without a pointer, and text that can be read.

import { faint } from './contrast.mjs';
import { base, hold, open, shot, step, until } from './harness.mjs';
import { MEMBER, entries, focusOf, itemsOf, listed, settled, tabTo } from './sights.mjs';

export async function keys(chrome) {
  const page = await open(chrome, { colorScheme: 'dark' });
  await step('by keyboard alone: skip, find, play, take back, ask why', async () => {
    await page.goto(base);
    await page.waitForSelector('.chip');
    await page.keyboard.press('Tab');
    hold(
      (await page.evaluate(() => document.activeElement.textContent)) === 'Skip to the member',
      'the first stop is the skip link',
    );
    await page.keyboard.press('Enter');
    await tabTo(page, '#find', 3);
    await page.keyboard.type(MEMBER);
    await page.locator('#found li').first().waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await entries(page).first().waitFor();
    hold(await page.locator('#found').isHidden(), 'the suggestions are still open');
    for (let list = 0; list < 6; list += 1) {
      await tabTo(page, '.act', 8);
      if (await page.evaluate(() => document.activeElement.closest('[data-list="top_picks"]'))) break;
    }
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    hold(outline === 'solid', `the focus is not to be seen: ${outline}`);
    await page.keyboard.press('ArrowDown');
    const there = await focusOf(page);
    hold(there.act === 'play' && there.row === '2', JSON.stringify(there));
    await page.keyboard.press('Enter');
    await settled(page);
    await until(async () => (await listed(page, there.item).count()) === 0, 'it leaves');
    const after = await focusOf(page);
    hold(
      after.act === 'play' && after.row === '2' && after.item !== there.item,
      `the focus went to ${JSON.stringify(after)}`,
    );
    hold((await page.locator('#say').textContent()).startsWith('Played'), 'nothing was said');
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await page.locator('.parts li, .why .sub').first().waitFor();
    await page.keyboard.press('Escape');
    hold((await page.locator('.why:visible').count()) === 0, 'the reasons are still open');
    await tabTo(page, '.event .act', 12);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.outcome[data-state="done"] :text("Retracted")');
    await until(async () => (await itemsOf(page)).includes(there.item), 'it comes back');
  });
  await step('in the dark, text can be read too', async () => {
    const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    hold(
      dark.match(/\d+/g).every((part) => Number(part) < 60),
      `the paper is ${dark}`,
    );
    await entries(page).nth(1).locator('[data-act="why"]').click();
    await page.locator('.parts li').first().waitFor();
    const words = await page.evaluate(faint);
    hold(words.length === 0, words.join('; '));
    await shot(page, 'member-dark');
    await shot(page, 'whole-dark', true);
  });
  await step('the theme can be chosen, and is kept', async () => {
    await page.locator('#theme-button').click();
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    hold(
      (await paper()).match(/\d+/g).every((part) => Number(part) > 200),
      `light paper is ${await paper()}`,
    );
    await page.reload();
    hold(
      (await paper()).match(/\d+/g).every((part) => Number(part) > 200),
      'it was forgotten',
    );
  });
  await page.context().close();
}
