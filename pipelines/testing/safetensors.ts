import { readFileSync } from "node:fs";
import { z } from "zod";

const header = z.record(
  z.string(),
  z.object({
    dtype: z.enum(["F32", "U8"]),
    shape: z.array(z.int()),
    data_offsets: z.tuple([z.int(), z.int()]),
  }),
);

export interface FixtureTensor {
  readonly data: Float32Array | Uint8Array;
  readonly dims: readonly number[];
}

/** Reads a safetensors file of reference values: eight bytes with the header's length, a JSON header, the data. */
export function readSafetensors(path: string | URL): ReadonlyMap<string, FixtureTensor> {
  const file = readFileSync(path);
  const headerEnd = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...entries } = JSON.parse(file.toString("utf8", 8, headerEnd));
  return new Map(
    Object.entries(header.parse(entries)).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [start, end],
        },
      ]) => {
        const bytes = Uint8Array.from(file.subarray(headerEnd + start, headerEnd + end));
        return [name, { data: dtype === "F32" ? new Float32Array(bytes.buffer) : bytes, dims: shape }];
      },
    ),
  );
}
