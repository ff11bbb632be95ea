// When things go wrong: the server is gone, or wants a token.

import { base, hold, open, shot, step, until } from './harness.mjs';
import { MEMBER, at, entries, itemsOf, settled } from './sights.mjs';

export async function wrong(chrome) {
  await step('a lost connection is said, and found again', async () => {
    const lost = await at(chrome, {}, { allow: /ERR_INTERNET_DISCONNECTED|Failed to load resource/ });
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
    await guarded.route('**/v1/**', (route) =>
      route.request().headers().authorization === 'Bearer open sesame'
        ? route.continue()
        : route.fulfill({
            status: 401,
            contentType: 'application/problem+json',
            body: '{"type":"about:blank","title":"Unauthorized","status":401,"detail":"a bearer token is needed"}',
          }),
    );
    await guarded.goto(`${base}/?member=${MEMBER}`);
    await guarded.locator('#token-field').fill('open sesame');
    await guarded.locator('#token-dialog .main').click();
    await entries(guarded).first().waitFor();
    hold((await guarded.evaluate(() => sessionStorage.length)) === 1, 'it is kept for the tab');
    hold(
      (await guarded.evaluate(() => Object.values(localStorage).join() + document.cookie)).includes('sesame') === false,
      'it is kept for longer',
    );
    await guarded.context().close();
  });
}
