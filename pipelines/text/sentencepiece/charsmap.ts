/**
 * SentencePiece's precompiled normalisation: a double-array trie from UTF-8 bytes to offsets in a list of replacements
 * that end with a zero byte (the layout of darts-clone, https://github.com/s-yata/darts-clone). Read as the Rust library
 * of Hugging Face reads it (`spm_precompiled`), peculiarities included: tokens must be the same.
 */
export class Charsmap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });
  readonly #known = new Map<string, string | undefined>();

  /** @param base64 `precompiled_charsmap` of a tokenizer.json. @throws RangeError when it is cut off */
  constructor(base64: string) {
    const bytes = Buffer.from(base64, "base64");
    const trieBytes = bytes.readUInt32LE(0);
    if (bytes.length < 4 + trieBytes || trieBytes % 4 !== 0)
      throw new RangeError("the precompiled charsmap is cut off");
    this.#units = new Uint32Array(new Uint8Array(bytes.subarray(4, 4 + trieBytes)).buffer);
    this.#replacements = new Uint8Array(bytes.subarray(4 + trieBytes));
  }

  normalize(text: string): string {
    let out = "";
    for (const { segment } of this.#graphemes.segment(text)) {
      // Longer clusters are not looked up whole.
      const whole = Buffer.byteLength(segment) < 6 ? this.#replacement(segment) : undefined;
      if (whole !== undefined) out += whole;
      else for (const character of segment) out += this.#replacement(character) ?? character;
    }
    return out;
  }

  #replacement(text: string): string | undefined {
    if (!this.#known.has(text)) this.#known.set(text, this.#lookUp(text));
    return this.#known.get(text);
  }

  /** Of the shortest beginning of the text that has one. */
  #lookUp(text: string): string | undefined {
    const units = this.#units;
    let node = offsetOf(units[0] ?? 0);
    for (const byte of Buffer.from(text)) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = units[node] ?? 0;
      if ((unit & 0x800000ff) >>> 0 !== byte) return undefined;
      node ^= offsetOf(unit);
      const hasLeaf = (unit >>> 8) & 1;
      if (hasLeaf) return this.#textAt((units[node] ?? 0) & 0x7fffffff);
    }
    return undefined;
  }

  #textAt(start: number): string {
    const end = this.#replacements.indexOf(0, start);
    return Buffer.from(this.#replacements.subarray(start, end === -1 ? undefined : end)).toString();
  }
}

function offsetOf(unit: number): number {
  return ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;
}
