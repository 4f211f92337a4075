import type { FileHandle } from "node:fs/promises";

/*
 * Reads the fields of a protobuf message from a file, without reading their contents: a file of gigabytes costs its
 * headers. Wire format: https://protobuf.dev/programming-guides/encoding/
 */
const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;
/** Tag and length (or value) are at most two varints of ten bytes. */
const headerBytes = 20;
/** After a jump little is read; who goes on reading in order gets more at once. */
const window = { minBytes: 4096, maxBytes: 2 ** 16 };

export interface Field {
  readonly number: number;
  /** Of a varint; null for every other kind. */
  readonly value: number | null;
  /** Where its content begins and ends, in the file. */
  readonly start: number;
  readonly end: number;
}

export class ProtobufReader {
  readonly #file: FileHandle;
  readonly size: number;
  #buffer = Buffer.alloc(0);
  /** What of the file is in the buffer, and where it begins. */
  #bytes: Uint8Array = this.#buffer;
  #start = 0;
  #readBytes = window.minBytes;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /**
   * The field that begins at `offset`; null when none can. Its end may lie behind the end of the file. Most fields lie in
   * what was read already, and are answered at once: a promise for each is most of what a large graph would cost.
   */
  field(offset: number): Field | null | Promise<Field | null> {
    if (this.#has(offset, headerBytes)) return this.#parse(offset);
    return this.#fill(offset, headerBytes).then(() => this.#parse(offset));
  }

  #parse(offset: number): Field | null {
    const bytes = this.#bytes;
    const base = this.#start;
    const tag = readVarint(bytes, offset - base);
    if (tag === null) return null;
    const number = Math.floor(tag.value / 8);
    const contentStart = base + tag.end;
    if (number === 0) return null;
    switch (tag.value % 8) {
      case wireTypes.varint: {
        const value = readVarint(bytes, tag.end);
        return value && { number, value: value.value, start: contentStart, end: base + value.end };
      }
      case wireTypes.lengthDelimited: {
        const length = readVarint(bytes, tag.end);
        return length && { number, value: null, start: base + length.end, end: base + length.end + length.value };
      }
      case wireTypes.fixed64:
        return { number, value: null, start: contentStart, end: contentStart + 8 };
      case wireTypes.fixed32:
        return { number, value: null, start: contentStart, end: contentStart + 4 };
      default:
        return null;
    }
  }

  /** The bytes from `start` to `end`; fewer at the end of the file. Valid until the next call. */
  async bytes(start: number, end: number): Promise<Uint8Array> {
    if (!this.#has(start, end - start)) await this.#fill(start, end - start);
    return this.#bytes.subarray(start - this.#start, end - this.#start);
  }

  #has(offset: number, length: number): boolean {
    const end = this.#start + this.#bytes.length;
    return offset >= this.#start && Math.min(offset + length, this.size) <= end;
  }

  async #fill(offset: number, length: number): Promise<void> {
    const goesOn = offset >= this.#start && offset <= this.#start + this.#bytes.length;
    this.#readBytes = goesOn ? Math.min(window.maxBytes, this.#readBytes * 2) : window.minBytes;
    const wanted = Math.max(0, Math.min(Math.max(length, this.#readBytes), this.size - offset));
    if (this.#buffer.length < wanted) this.#buffer = Buffer.allocUnsafeSlow(wanted);
    const { bytesRead } = await this.#file.read(this.#buffer, 0, wanted, offset);
    this.#bytes = this.#buffer.subarray(0, bytesRead);
    this.#start = offset;
  }
}

/** Varints that follow each other without tags: how a list of numbers is packed. Null when one does not end. */
export function packedVarints(bytes: Uint8Array): number[] | null {
  const values: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = readVarint(bytes, at);
    if (next === null) return null;
    values.push(next.value);
    at = next.end;
  }
  return values;
}

/** A varint as a number (exact below 2^53) and the position behind it; null when it does not end. */
function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let index = 0; index < 10; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: start + index + 1 };
  }
  return null;
}
