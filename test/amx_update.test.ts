import { test } from 'uvu';
import { expectEmulated } from './support/emulated.ts';

test('emulated: tiles give every update of planes by a product of whole numbers', () => {
  expectEmulated('amx_update', 1261);
});

test.run();
