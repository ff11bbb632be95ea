// On a phone: everything is within 360 pixels and large enough for a finger.

import { hold, shot, step, until } from './harness.mjs';
import { at, entries, itemsOf, settled } from './sights.mjs';

export async function phone(chrome) {
  for (const colorScheme of ['light', 'dark']) {
    await step(`on a phone, ${colorScheme}: everything is within 360 pixels`, async () => {
      const page = await at(chrome, {
        viewport: { width: 360, height: 780 },
        deviceScaleFactor: 2,
        hasTouch: true,
        isMobile: true,
        colorScheme,
      });
      const fits = async (when) => {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        hold(wide <= 360, `${when}: ${wide} px wide`);
      };
      await page.waitForSelector('.trend .spark');
      await page.waitForTimeout(600);
      await fits('at first');
      await shot(page, `phone-start-${colorScheme}`);
      const item = (await itemsOf(page))[0];
      await entries(page).first().locator('[data-act="play"]').tap();
      await settled(page);
      await page.waitForTimeout(300);
      await shot(page, `phone-played-${colorScheme}`);
      await page.locator('.undo').tap();
      await until(async () => (await itemsOf(page)).includes(item), 'it comes back');
      await entries(page).nth(1).locator('[data-act="why"]').tap();
      await page.locator('.parts li').first().waitFor();
      await page.locator('.trend-open').first().tap();
      await page.locator('.chart').waitFor();
      await fits('with reasons and a plot open');
      const small = await page
        .locator('.act:visible')
        .evaluateAll(
          (all) =>
            all.map((one) => one.getBoundingClientRect()).filter(({ width, height }) => width < 24 || height < 24)
              .length,
        );
      hold(small === 0, `${small} buttons are smaller than 24 px`);
      await shot(page, `phone-whole-${colorScheme}`, true);
      await page.context().close();
    });
  }
}
