import { type FileHandle, open } from "node:fs/promises";

/*
 * Looks whether an ONNX file is whole, without loading it: reads the outermost fields of its protobuf message, each with
 * its length, and skips their contents. Finds truncated downloads and the pointer files that Git LFS leaves.
 * Wire format: https://protobuf.dev/programming-guides/encoding/, fields: `ModelProto` in onnx.proto.
 */
const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;
const graphField = 7;
/** Tag and length are at most two varints of ten bytes. */
const headerBytes = 20;
/** Files with external data hold the graph only; above this a file has its weights inside. */
const largestGraphBytes = 64 * 2 ** 20;

/** What is wrong with the file, null when nothing is. */
export async function checkOnnxFile(path: string): Promise<string | null> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    if (size === 0) return "is empty";
    let offset = 0;
    let hasGraph = false;
    while (offset < size) {
      const field = await readField(file, offset);
      if (field === null) return "is no ONNX file, or is damaged";
      hasGraph ||= field.number === graphField;
      offset = field.end;
    }
    if (offset > size) return "is cut off: download it again";
    return hasGraph ? null : "is no ONNX file";
  } finally {
    await file.close();
  }
}

/** Names of the files beside it that hold the weights. */
export async function externalDataFiles(path: string): Promise<string[]> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    return size > largestGraphBytes ? [] : locationsIn(await file.readFile());
  } finally {
    await file.close();
  }
}

/** `StringStringEntryProto { key: "location", value: <name> }`: the key's tag and length, the value's tag and length. */
const locationKey = Buffer.concat([Buffer.from([0x0a, 8]), Buffer.from("location"), Buffer.from([0x12])]);

function locationsIn(bytes: Buffer): string[] {
  const names = new Set<string>();
  for (let at = bytes.indexOf(locationKey); at >= 0; at = bytes.indexOf(locationKey, at + 1)) {
    const start = at + locationKey.length;
    const length = readVarint(bytes, start);
    if (length !== null) names.add(bytes.toString("utf8", length.end, length.end + length.value));
  }
  return [...names];
}

async function readField(file: FileHandle, offset: number): Promise<{ number: number; end: number } | null> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, offset);
  const bytes = buffer.subarray(0, bytesRead);
  const tag = readVarint(bytes, 0);
  if (tag === null) return null;
  const number = Math.floor(tag.value / 8);
  const wireType = tag.value % 8;
  const content = wireType === wireTypes.fixed64 || wireType === wireTypes.fixed32 ? null : readVarint(bytes, tag.end);
  switch (wireType) {
    case wireTypes.varint:
      return content && { number, end: offset + content.end };
    case wireTypes.lengthDelimited:
      return content && { number, end: offset + content.end + content.value };
    case wireTypes.fixed64:
      return { number, end: offset + tag.end + 8 };
    case wireTypes.fixed32:
      return { number, end: offset + tag.end + 4 };
    default:
      return null;
  }
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
