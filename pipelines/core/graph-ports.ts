import { type FileHandle, open } from "node:fs/promises";
import { fieldsOf, readVarint, textOf } from "./protobuf.ts";

/** Sizes of an input or output by axis; null for one that is free. */
type PortShape = readonly (number | null)[];

/** What an ONNX graph takes and gives, each by its name; undefined for a shape that the file does not state. */
export interface GraphPorts {
  readonly inputs: ReadonlyMap<string, PortShape | undefined>;
  readonly outputs: ReadonlyMap<string, PortShape | undefined>;
}

/* Field numbers of onnx.proto. */
const modelFields = { graph: 7 } as const;
const graphFields = { input: 11, output: 12 } as const;
const valueFields = { name: 1, type: 2 } as const;
const typeFields = { tensor: 1 } as const;
const tensorFields = { shape: 2 } as const;
const shapeFields = { dimension: 1 } as const;
const dimensionFields = { size: 1 } as const;

const lengthDelimited = 2;
/** A tag and a length, each a varint of at most ten bytes. */
const maxHeaderBytes = 20;
const windowBytes = 2 ** 14;

/**
 * Reads an ONNX file's inputs and outputs without its weights: a file of 2 GB costs the headers of its fields.
 * @returns undefined when the file is not there, or is no ONNX file: whoever loads it says so
 */
export async function readGraphPorts(path: string): Promise<GraphPorts | undefined> {
  const file = await open(path, "r").catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const ports = {
      inputs: new Map<string, PortShape | undefined>(),
      outputs: new Map<string, PortShape | undefined>(),
    };
    const source = new FileWindow(file, (await file.stat()).size);
    for await (const graph of source.fields(0, source.size)) {
      if (graph.number !== modelFields.graph) continue;
      for await (const { number, start, end } of source.fields(graph.start, graph.end)) {
        if (number !== graphFields.input && number !== graphFields.output) continue;
        const { name, shape } = readPort(await source.bytes(start, end));
        ports[number === graphFields.input ? "inputs" : "outputs"].set(name, shape);
      }
    }
    return ports.outputs.size === 0 ? undefined : ports;
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

interface FilePart {
  readonly number: number;
  /** Where its content lies in the file, in bytes. */
  readonly start: number;
  readonly end: number;
}

class FileWindow {
  readonly size: number;
  readonly #file: FileHandle;
  readonly #buffer = Buffer.alloc(windowBytes);
  #start = 0;
  #length = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** The length-delimited fields of a message; numbers are passed over. @throws RangeError when it is no message */
  async *fields(start: number, end: number): AsyncGenerator<FilePart> {
    for (let at = start; at < end; ) {
      const header = await this.bytes(at, Math.min(at + maxHeaderBytes, end));
      const tag = readVarint(header, 0);
      const value = sizeOf(tag.value % 8, header, tag.end);
      const from = at + value.start;
      const to = from + value.length;
      if (to > end) throw new RangeError("a field that goes beyond its message");
      if (tag.value % 8 === lengthDelimited) yield { number: Math.floor(tag.value / 8), start: from, end: to };
      at = to;
    }
  }

  /** Valid until the next call. */
  async bytes(start: number, end: number): Promise<Uint8Array> {
    if (end - start > windowBytes) throw new RangeError("more than a header");
    if (start < this.#start || end > this.#start + this.#length) {
      const { bytesRead } = await this.#file.read(this.#buffer, 0, windowBytes, start);
      this.#start = start;
      this.#length = bytesRead;
    }
    return this.#buffer.subarray(start - this.#start, Math.min(end - this.#start, this.#length));
  }
}

/** Where a field's content begins after its tag, and how long it is. */
function sizeOf(kind: number, header: Uint8Array, tagEnd: number): { readonly start: number; readonly length: number } {
  if (kind === 0) return { start: readVarint(header, tagEnd).end, length: 0 };
  if (kind === 1) return { start: tagEnd, length: 8 };
  if (kind === 5) return { start: tagEnd, length: 4 };
  if (kind !== lengthDelimited) throw new RangeError(`a field of the unknown kind ${kind}`);
  const { value, end } = readVarint(header, tagEnd);
  return { start: end, length: value };
}

function readPort(value: Uint8Array): { readonly name: string; readonly shape: PortShape | undefined } {
  let name = "";
  let shape: PortShape | undefined;
  for (const field of fieldsOf(value)) {
    if (field.number === valueFields.name) name = textOf(field);
    if (field.number !== valueFields.type) continue;
    const [tensor] = contentsOf(field.content, typeFields.tensor);
    const [dimensions] = tensor === undefined ? [] : contentsOf(tensor, tensorFields.shape);
    shape = dimensions && contentsOf(dimensions, shapeFields.dimension).map(readSize);
  }
  return { name, shape };
}

function readSize(dimension: Uint8Array): number | null {
  const size = [...fieldsOf(dimension)].find(({ number }) => number === dimensionFields.size);
  return size === undefined ? null : size.value;
}

function contentsOf(message: Uint8Array, number: number): Uint8Array[] {
  return [...fieldsOf(message)].filter((field) => field.number === number).map(({ content }) => content);
}
