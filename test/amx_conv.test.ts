import { test } from 'uvu';
import { expectEmulated } from './support/emulated.ts';

test('emulated: tiles give every product and every gradient of a filter of whole numbers', () => {
  expectEmulated('amx_conv', 454, '-O2');
});

test.run();
