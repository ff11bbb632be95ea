// The page at `/`, driven as a person drives it. The server is a real one over an invented world; scripts/page.sh starts
// both, and what must hold is in the files that this one calls.

import { browser, finish } from './harness.mjs';
import { desk } from './desk.mjs';
import { keys } from './keys.mjs';
import { phone } from './phone.mjs';
import { variants } from './variants.mjs';
import { wrong } from './wrong.mjs';

const chrome = await browser();
for (const part of [desk, keys, phone, variants, wrong]) await part(chrome);
await chrome.close();
finish();
