/*
 * Protobuf messages in memory: as much as it takes to read an ONNX graph and to write it again with other weights.
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */
const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

export interface Field {
  readonly number: number;
  /** Of a varint; 0 for every other kind. */
  readonly value: number;
  /** What a length-delimited field holds; empty for every other kind. */
  readonly content: Uint8Array;
  /** The field as it is on the wire, tag included. */
  readonly encoded: Uint8Array;
}

const nothing = new Uint8Array(0);

/**
 * The fields of a message, in their order.
 * @throws RangeError when the bytes are no protobuf message
 */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  for (let start = 0; start < message.length; ) {
    const tag = readVarint(message, start);
    const number = Math.floor(tag.value / 8);
    const kind = tag.value % 8;
    let { end } = tag;
    let value = 0;
    let content: Uint8Array = nothing;
    if (kind === wireTypes.varint) {
      ({ value, end } = readVarint(message, end));
    } else if (kind === wireTypes.lengthDelimited) {
      const length = readVarint(message, end);
      end = length.end + length.value;
      content = message.subarray(length.end, end);
    } else if (kind === wireTypes.fixed64) {
      end += 8;
    } else if (kind === wireTypes.fixed32) {
      end += 4;
    } else {
      throw new RangeError(`a field of the unknown kind ${kind}`);
    }
    if (number === 0 || end > message.length) throw new RangeError("a field that goes beyond its message");
    yield { number, value, content, encoded: message.subarray(start, end) };
    start = end;
  }
}

/** The text of a length-delimited field. */
export function textOf({ content }: Field): string {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("utf8");
}

/** A repeated number, packed into one field or alone in it. */
export function numbersOf({ content, value }: Field): number[] {
  if (content.length === 0) return [value];
  const numbers: number[] = [];
  for (let at = 0; at < content.length; ) {
    const next = readVarint(content, at);
    numbers.push(next.value);
    at = next.end;
  }
  return numbers;
}

export function varintField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(number * 8 + wireTypes.varint), ...varint(value)]);
}

/** A length-delimited field: text, bytes, or a message made of the fields that are given. */
export function contentField(number: number, content: string | Uint8Array | readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(contentParts(number, content));
}

/** The same in parts, to be laid end to end: what they hold is not copied. */
export function contentParts(number: number, content: string | Uint8Array | readonly Uint8Array[]): Uint8Array[] {
  const parts =
    typeof content === "string" ? [Buffer.from(content)] : content instanceof Uint8Array ? [content] : content;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = Uint8Array.from([...varint(number * 8 + wireTypes.lengthDelimited), ...varint(length)]);
  return [header, ...parts];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}

/** A varint as a number (exact below 2^53) and the position behind it. */
export function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  for (let index = 0; index < 10; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: start + index + 1 };
  }
  throw new RangeError("a number that does not end");
}
