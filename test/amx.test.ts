import { test } from 'uvu';
import { expectEmulated } from './support/emulated.ts';

test('emulated: packing and tiles give every product of whole numbers', () => {
  expectEmulated('amx', 11232);
});

test.run();
