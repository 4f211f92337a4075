/**
 * Words of NumPy's `SeedSequence(entropy, spawn_key, pool_size).generate_state(count)`: well-mixed seeds out of a few numbers
 * (O'Neill, "Developing a seed_seq Alternative", 2015).
 * @param entropy a whole number of at most 64 bits
 */
export function seedWords(
  entropy: number,
  spawnKey: readonly number[],
  { poolSize, count }: { readonly poolSize: number; readonly count: number },
): Uint32Array {
  const own = wordsOf(entropy);
  const padding = new Array<number>(spawnKey.length > 0 ? Math.max(poolSize - own.length, 0) : 0).fill(0);
  const pool = mixed([...own, ...padding, ...spawnKey.flatMap(wordsOf)], poolSize);
  let constant = 0x8b51f9dd;
  return Uint32Array.from({ length: count }, (_, index) => {
    let word = (pool[index % poolSize] ?? 0) ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    word = Math.imul(word, constant);
    return word ^ (word >>> 16);
  });
}

function wordsOf(value: number): number[] {
  const low = value % 2 ** 32;
  const high = Math.floor(value / 2 ** 32);
  return high === 0 ? [low] : [low, high];
}

function mixed(entropy: readonly number[], poolSize: number): Uint32Array {
  let constant = 0x43b0d7e5;
  const hash = (value: number) => {
    const hidden = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    const product = Math.imul(hidden, constant);
    return product ^ (product >>> 16);
  };
  const mix = (x: number, y: number) => {
    const result = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
    return (result ^ (result >>> 16)) >>> 0;
  };
  const pool = Uint32Array.from({ length: poolSize }, (_, index) => hash(entropy[index] ?? 0));
  const mixIn = (source: number, isOwn: (index: number) => boolean) => {
    for (let index = 0; index < poolSize; index++) {
      if (!isOwn(index)) pool[index] = mix(pool[index] ?? 0, hash(source));
    }
  };
  for (let source = 0; source < poolSize; source++) mixIn(pool[source] ?? 0, (index) => index === source);
  for (const value of entropy.slice(poolSize)) mixIn(value, () => false);
  return pool;
}
