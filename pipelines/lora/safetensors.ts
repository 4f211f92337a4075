import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { elementCount, type Tensor } from "#pipelines/core/tensor.ts";
import { loraInvalid } from "./errors.ts";

/*
 * Files of named tensors: eight bytes with the header's length, a JSON header, the data. The format says of itself
 * that a header has at most 100 MB; those of LoRA files have some hundred kilobytes.
 */
const maxHeaderBytes = 16 * 2 ** 20;
/** A LoRA of SDXL with all layers has some 8,000. */
const maxTensors = 50_000;
const maxNameCharacters = 512;

const elementBytes = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;
type FloatType = keyof typeof elementBytes;

const headerEntry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(8),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
type HeaderEntry = z.output<typeof headerEntry>;

/** The tensors of one safetensors file, read one at a time. */
export class SafetensorsFile {
  /** What it is called in messages. */
  readonly name: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly #file: FileHandle;
  readonly #entries: ReadonlyMap<string, HeaderEntry>;
  readonly #dataStart: number;

  private constructor(
    name: string,
    file: FileHandle,
    entries: ReadonlyMap<string, HeaderEntry>,
    metadata: ReadonlyMap<string, string>,
    dataStart: number,
  ) {
    this.name = name;
    this.metadata = metadata;
    this.#file = file;
    this.#entries = entries;
    this.#dataStart = dataStart;
  }

  /**
   * Reads the header, and checks that the data it names is there.
   * @param name what the file is called in messages
   * @throws PipelineError LORA_INVALID when the file is none of this format, or damaged; what opening it throws
   */
  static async open(path: string, name = path): Promise<SafetensorsFile> {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      const { text, dataStart } = await readHeader(name, file, size);
      const { entries, metadata } = parseHeader(name, text);
      for (const [tensor, entry] of entries) checkEntry(name, tensor, entry, size - dataStart);
      return new SafetensorsFile(name, file, entries, metadata, dataStart);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  dims(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /**
   * One tensor as float32.
   * @throws PipelineError LORA_INVALID when it is of integers, or has NaN or infinity
   */
  async read(name: string): Promise<Tensor> {
    const { dtype, shape, data_offsets } = this.#entry(name);
    if (!isFloatType(dtype)) {
      throw loraInvalid(this.name, `"${name}" is ${dtype}; it must be ${Object.keys(elementBytes).join(", ")}`);
    }
    const bytes = new Uint8Array(data_offsets[1] - data_offsets[0]);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await this.#file.read(
        bytes,
        done,
        bytes.length - done,
        this.#dataStart + data_offsets[0] + done,
      );
      if (bytesRead === 0) throw loraInvalid(this.name, "it became shorter while it was read");
      done += bytesRead;
    }
    const data = toFloat32(dtype, bytes);
    if (!data.every(Number.isFinite)) throw loraInvalid(this.name, `"${name}" has NaN or infinity`);
    return { data, dims: shape };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #entry(name: string): HeaderEntry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new RangeError(`there is no tensor "${name}"`);
    return entry;
  }
}

async function readHeader(path: string, file: FileHandle, size: number) {
  const start = new Uint8Array(8);
  const { bytesRead } = await file.read(start, 0, 8, 0);
  const length = bytesRead < 8 ? 0n : new DataView(start.buffer).getBigUint64(0, true);
  if (length < 2n || length > BigInt(Math.min(maxHeaderBytes, size - 8))) {
    throw loraInvalid(path, "it is no safetensors file, or it is cut off");
  }
  const header = new Uint8Array(Number(length));
  await file.read(header, 0, header.length, 8);
  return { text: Buffer.from(header.buffer).toString("utf8"), dataStart: 8 + header.length };
}

function parseHeader(path: string, text: string) {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw loraInvalid(path, "its header is no JSON; it is no safetensors file", error);
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(header);
  if (!parsed.success) throw loraInvalid(path, "its header is no object; it is no safetensors file");
  const { __metadata__: rawMetadata, ...rest } = parsed.data;
  const metadata = z
    .record(z.string(), z.string())
    .catch({})
    .parse(rawMetadata ?? {});
  const entries = new Map<string, HeaderEntry>();
  const described = Object.entries(rest);
  if (described.length > maxTensors) throw loraInvalid(path, `it has more than ${maxTensors} tensors`);
  for (const [name, value] of described) {
    if (name.length > maxNameCharacters) throw loraInvalid(path, "a tensor's name is too long");
    const entry = headerEntry.safeParse(value);
    if (!entry.success) throw loraInvalid(path, `its header does not describe "${name}" as a tensor`);
    entries.set(name, entry.data);
  }
  return { entries, metadata: new Map(Object.entries(metadata)) };
}

function checkEntry(path: string, name: string, { dtype, shape, data_offsets }: HeaderEntry, dataBytes: number): void {
  const [start, end] = data_offsets;
  const fits = end >= start && end <= dataBytes;
  const sized = !isFloatType(dtype) || end - start === elementCount(shape) * elementBytes[dtype];
  if (!fits || !sized) throw loraInvalid(path, `the data of "${name}" is not whole; download or copy the file again`);
}

function isFloatType(dtype: string): dtype is FloatType {
  return Object.hasOwn(elementBytes, dtype);
}

function toFloat32(dtype: FloatType, { buffer, length }: Uint8Array<ArrayBuffer>): Float32Array {
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "F16":
      return new Float32Array(new Float16Array(buffer));
    case "BF16": {
      // The upper half of a float32.
      const upper = new Uint16Array(buffer);
      const bits = new Uint32Array(length / 2);
      for (let index = 0; index < bits.length; index++) bits[index] = (upper[index] ?? 0) << 16;
      return new Float32Array(bits.buffer);
    }
  }
}
