import { writeFileSync } from "node:fs";

export interface WrittenTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Writes a safetensors file of float32 tensors. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, WrittenTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dims, data }]) => {
    const begin = at;
    at += data.byteLength;
    return [name, { dtype: "F32", shape: dims, data_offsets: [begin, at] }] as const;
  });
  const header = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const contents = Object.values(tensors).map(
    ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
  writeFileSync(path, Buffer.concat([length, header, ...contents]));
}
