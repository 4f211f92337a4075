const rounds = 10;
const [multiplier0, multiplier1] = [0xd2511f53, 0xcd9e8d57];
const [weyl0, weyl1] = [0x9e3779b9, 0xbb67ae85];

/**
 * One block of Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011, section 3.3): replaces the
 * four words of the counter by four random ones. A counter-based generator has no state: any block can be computed by itself.
 * @param key two words
 */
export function philox4x32(counter: Uint32Array, key0: number, key1: number): void {
  let [a, b, c, d] = [counter[0] ?? 0, counter[1] ?? 0, counter[2] ?? 0, counter[3] ?? 0];
  let [k0, k1] = [key0, key1];
  for (let round = 0; round < rounds; round++) {
    const high0 = highWord(multiplier0, a);
    const low0 = Math.imul(multiplier0, a);
    const high1 = highWord(multiplier1, c);
    const low1 = Math.imul(multiplier1, c);
    a = (high1 ^ b ^ k0) >>> 0;
    b = low1;
    c = (high0 ^ d ^ k1) >>> 0;
    d = low0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  counter[0] = a;
  counter[1] = b;
  counter[2] = c;
  counter[3] = d;
}

/** The upper 32 bits of the product of two 32-bit words. */
function highWord(x: number, y: number): number {
  const [x0, x1, y0, y1] = [x & 0xffff, x >>> 16, y & 0xffff, y >>> 16];
  const middle = x1 * y0 + ((x0 * y0) >>> 16);
  const cross = x0 * y1 + (middle & 0xffff);
  return (x1 * y1 + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)) >>> 0;
}
