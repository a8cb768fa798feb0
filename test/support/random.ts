// The laws of docs/architecture.md (random numbers) written down a second time, in BigInt and the plainest form: the judge of the native ones.

/** Philox4x32-10 of Salmon et al. 2011. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  const mask = 0xffff_ffffn;
  let [a, b, c, d] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const p = 0xd2511f53n * a;
    const q = 0xcd9e8d57n * c;
    [a, b, c, d] = [(q >> 32n) ^ b ^ k0, q & mask, (p >> 32n) ^ d ^ k1, p & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [a, b, c, d].map(Number);
}

/** Fisher–Yates from the end over stream 3. */
export function shuffle(length: number, keyLow: number, keyHigh: number, epoch: number): Int32Array {
  const order = Int32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const block = philox([i >>> 2, 0, 3 * 2 ** 24, epoch], [keyLow, keyHigh]);
    const j = Number((BigInt(block[i & 3] as number) * BigInt(i + 1)) >> 32n);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** Signs of a [rows, columns] tensor: bit j mod 32 of word ⌊j/32⌋ mod 4 of block row·⌈columns/128⌉ + ⌊j/128⌋; 0 is +1. */
export function signs(
  rows: number,
  columns: number,
  [parameter, stream, direction, step]: readonly [number, number, number, number],
  key: readonly number[],
): number[] {
  const values: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < columns; j++) {
      const block = row * Math.ceil(columns / 128) + Math.floor(j / 128);
      const words = philox([block, parameter, stream * 2 ** 24 + direction, step], key);
      values.push(((words[Math.floor(j / 32) % 4] as number) >>> (j % 32)) & 1 ? -1 : 1);
    }
  }
  return values;
}
