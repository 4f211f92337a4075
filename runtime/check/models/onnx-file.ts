import { type FileHandle, open } from "node:fs/promises";
import {
  addExternal,
  computedBytes,
  contentProblem,
  dataTypeName,
  type ExternalData,
  type TensorFacts,
  tensorFields,
} from "./onnx-tensor.ts";
import { type Field, ProtobufReader, packedVarints } from "./protobuf-reader.ts";

/*
 * Reads of an ONNX file what loading it needs, without loading it: whether the file is whole, whether the weights inside
 * have their size, and which bytes of which other files hold the rest. Only headers are read.
 * Fields: onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
export interface OnnxFile {
  /** What is wrong with the file itself; null when nothing is. */
  readonly problem: string | null;
  /** By location, as the file writes it. */
  readonly external: ReadonlyMap<string, ExternalData>;
  /** Bytes of its tensors by data type, wherever they lie; of a damaged file as far as it was read. */
  readonly weightBytes: ReadonlyMap<string, number>;
}

type Message = "model" | "graph" | "node" | "attribute" | "sparse" | "function" | "tensor";

/** Where tensors can be: in which field of which message comes which message. */
const inside: Readonly<Record<Exclude<Message, "tensor">, Readonly<Record<number, Message>>>> = {
  model: { 7: "graph", 25: "function" },
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
  function: { 7: "node" },
};
/** Graphs in graphs; more than any exporter makes. */
const maxDepth = 64;
/** What Git checks out in place of a file that Git LFS keeps. */
export const lfsPointer = "version https://git-lfs";
export const lfsProblem = 'is a pointer of Git LFS, not the file itself: fetch it with "git lfs pull"';
const damaged = "is no ONNX file, or is damaged: download it again";

class Damaged extends Error {}

/** @throws file system errors as they are */
export async function readOnnxFile(path: string): Promise<OnnxFile> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const facts = { external: new Map<string, ExternalData>(), weightBytes: new Map<string, number>() };
    const problem = size === 0 ? "is empty" : await readModel(file, size, facts);
    return { problem, ...facts };
  } finally {
    await file.close();
  }
}

interface Found {
  readonly external: Map<string, ExternalData>;
  readonly weightBytes: Map<string, number>;
}

async function readModel(file: FileHandle, size: number, found: Found): Promise<string | null> {
  const walk = new Walk(new ProtobufReader(file, size), found);
  try {
    if (await walk.startsWith(lfsPointer)) return lfsProblem;
    await walk.message("model", 0, size, 0);
    return walk.hasGraph ? null : "is no ONNX file";
  } catch (error) {
    if (error instanceof Damaged) return error.message;
    throw error;
  }
}

class Walk {
  readonly #reader: ProtobufReader;
  readonly #found: Found;
  hasGraph = false;

  constructor(reader: ProtobufReader, found: Found) {
    this.#reader = reader;
    this.#found = found;
  }

  async startsWith(text: string): Promise<boolean> {
    return Buffer.from(await this.#reader.bytes(0, text.length)).toString("latin1") === text;
  }

  async message(kind: Exclude<Message, "tensor">, start: number, end: number, depth: number): Promise<void> {
    if (depth > maxDepth) throw new Damaged(damaged);
    for (let at = start; at < end; ) {
      const next = this.#field(at, end);
      const field = next instanceof Promise ? await next : next;
      const child = inside[kind][field.number];
      this.hasGraph ||= child === "graph";
      if (child === "tensor") await this.#tensor(field.start, field.end);
      else if (child !== undefined) await this.message(child, field.start, field.end, depth + 1);
      at = field.end;
    }
  }

  async #tensor(start: number, end: number): Promise<void> {
    const facts: TensorFacts = { name: "", dims: [], dataType: 0, rawBytes: null, isExternal: false, entries: [] };
    for (let at = start; at < end; ) {
      const next = this.#field(at, end);
      const field = next instanceof Promise ? await next : next;
      await this.#tensorField(facts, field);
      at = field.end;
    }
    const { external, weightBytes } = this.#found;
    const problem = facts.isExternal ? addExternal(external, facts) : contentProblem(facts);
    if (problem !== null) throw new Damaged(problem);
    const name = dataTypeName(facts);
    weightBytes.set(name, (weightBytes.get(name) ?? 0) + (computedBytes(facts) ?? facts.rawBytes ?? 0));
  }

  async #tensorField(facts: TensorFacts, field: Field): Promise<void> {
    switch (field.number) {
      case tensorFields.dims:
        facts.dims.push(...(field.value === null ? await this.#packed(field) : [field.value]));
        break;
      case tensorFields.dataType:
        facts.dataType = field.value ?? 0;
        break;
      case tensorFields.name:
        facts.name = await this.#text(field);
        break;
      case tensorFields.rawData:
        facts.rawBytes = field.end - field.start;
        break;
      case tensorFields.externalData:
        facts.entries.push(await this.#entry(field.start, field.end));
        break;
      case tensorFields.dataLocation:
        facts.isExternal = field.value === 1;
        break;
    }
  }

  /** `StringStringEntryProto`. */
  async #entry(start: number, end: number): Promise<readonly [string, string]> {
    let [key, value] = ["", ""];
    for (let at = start; at < end; ) {
      const next = this.#field(at, end);
      const field = next instanceof Promise ? await next : next;
      if (field.number === 1) key = await this.#text(field);
      if (field.number === 2) value = await this.#text(field);
      at = field.end;
    }
    return [key, value];
  }

  /** @throws Damaged when there is none, or when it does not end where it must */
  #field(at: number, end: number): Field | Promise<Field> {
    const field = this.#reader.field(at);
    return field instanceof Promise ? field.then((found) => this.#checked(found, end)) : this.#checked(field, end);
  }

  #checked(field: Field | null, end: number): Field {
    if (field === null) throw new Damaged(damaged);
    if (field.end <= end) return field;
    const isCut = field.end > this.#reader.size && end === this.#reader.size;
    throw new Damaged(isCut ? "is cut off: download it again" : damaged);
  }

  async #packed({ start, end }: Field): Promise<number[]> {
    const values = packedVarints(await this.#reader.bytes(start, end));
    if (values === null) throw new Damaged(damaged);
    return values;
  }

  async #text({ start, end }: Field): Promise<string> {
    return Buffer.from(await this.#reader.bytes(start, Math.min(end, start + 4096))).toString("utf8");
  }
}
