import { readFileSync, writeFileSync } from "node:fs";
import { fieldsOf, textOf } from "#pipelines/core/protobuf.ts";

/** Numbers of fields in ModelProto, GraphProto and TensorProto of ONNX's schema. */
const fields = { graph: 7, initializer: 5, name: 8, rawData: 9 } as const;

/**
 * Makes a model yield NaN: writes it over the first of an initializer's float32 values, in the file.
 * @param path of an ONNX file that holds its weights itself
 * @throws Error when there is no such initializer
 */
export function putNan(path: string, initializer: string): void {
  const model = readFileSync(path);
  const contents = (message: Uint8Array, number: number) =>
    [...fieldsOf(message)].filter((field) => field.number === number);
  const tensors = contents(model, fields.graph).flatMap(({ content }) => contents(content, fields.initializer));
  const found = tensors.find(({ content }) => contents(content, fields.name).map(textOf)[0] === initializer);
  const [raw] = found === undefined ? [] : contents(found.content, fields.rawData);
  if (raw === undefined) throw new Error(`${path} has no initializer ${initializer} with values`);
  const { buffer, byteOffset } = raw.content;
  new DataView(buffer, byteOffset).setFloat32(0, Number.NaN, true);
  writeFileSync(path, model);
}
