// Where things are on the page, and the member whom all steps look at: what the steps share. Not a test itself.

import { base, open } from './harness.mjs';

export const MEMBER = process.env.NEARLINE_PAGE_MEMBER ?? 'm1';

export const TOP = '[data-list="top_picks"]';
export const entries = (page, list = TOP) => page.locator(`${list} .entry:not(.gone)`);
export const itemsOf = (page, list = TOP) =>
  entries(page, list).evaluateAll((all) => all.map((one) => one.dataset.item));
export const listed = (page, item) => page.locator(`.entry:not(.gone)[data-item="${item}"]`);
export const settled = (page) => page.waitForSelector('.outcome[data-state="done"]');
export const took = async (page) => Number(await page.locator('#outcome').getAttribute('data-ms'));

/** Opens the page at a member. */
export async function at(chrome, options = {}, watch = {}) {
  const page = await open(chrome, options, watch);
  await page.goto(`${base}/?member=${MEMBER}`);
  await entries(page).first().waitFor();
  return page;
}

/** Presses Tab until the focus is on what `selector` names; says after how many. */
export async function tabTo(page, selector, most = 30) {
  for (let times = 1; times <= most; times += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((name) => document.activeElement?.matches(name), selector)) return times;
  }
  throw new Error(`no ${selector} within ${most} presses of Tab`);
}

export const focusOf = (page) =>
  page.evaluate(() => ({
    act: document.activeElement?.dataset.act,
    item: document.activeElement?.closest('.entry')?.dataset.item,
    row: document.activeElement?.closest('.entry')?.getAttribute('aria-rowindex'),
  }));
