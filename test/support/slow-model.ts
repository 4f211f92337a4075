import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contentField, type Field, fieldsOf, textOf, varintField } from "#pipelines/core/protobuf.ts";
import { makeEndless } from "./endless-model.ts";

/** Numbers of the fields in onnx.proto, and of the types of values. */
const fields = {
  model: { graph: 7 },
  graph: { node: 1, name: 2, initializer: 5, input: 11, output: 12 },
  node: { input: 1, output: 2, opType: 4, attribute: 5 },
  attribute: { name: 1, graph: 6, type: 20 },
  tensor: { type: 2, name: 8, raw: 9 },
  value: { name: 1, type: 2, tensor: 1, elementType: 1, shape: 2 },
} as const;
const graphAttribute = 5;
const types = { float: 1, int64: 7, bool: 9 } as const;

/** More turns of a loop than any machine makes. */
const forEver = 2 ** 62;

/**
 * A language model that hangs in its first token: the graph goes round in a loop before it gives its scores. Nothing comes between
 * the turns, neither a signal nor a message of the dispatcher.
 *
 * @param turns of each token, two microseconds or more each
 */
export function makeSlow(folder: string, turns = forEver): void {
  makeEndless(folder);
  const file = join(folder, "onnx/model.onnx");
  const parts = [...fieldsOf(readFileSync(file))].map((field) =>
    field.number === fields.model.graph
      ? contentField(fields.model.graph, withLoop(field.content, turns))
      : field.encoded,
  );
  writeFileSync(file, Buffer.concat(parts));
}

function withLoop(graph: Uint8Array, turns: number): Uint8Array[] {
  const edited = [...fieldsOf(graph)].map((field) =>
    field.number === fields.graph.node ? contentField(fields.graph.node, renamed(field.content)) : field.encoded,
  );
  const loop = contentField(fields.graph.node, [
    ...["turns", "goes on", "computed logits"].map((name) => contentField(fields.node.input, name)),
    contentField(fields.node.output, "logits"),
    contentField(fields.node.opType, "Loop"),
    contentField(fields.node.attribute, [
      contentField(fields.attribute.name, "body"),
      contentField(fields.attribute.graph, body()),
      varintField(fields.attribute.type, graphAttribute),
    ]),
  ]);
  const count = Buffer.alloc(8);
  count.writeBigInt64LE(BigInt(turns));
  return [...edited, loop, scalar("turns", types.int64, count), scalar("goes on", types.bool, Buffer.of(1))];
}

/** Each turn gives on what it got. */
function body(): Uint8Array[] {
  const same = (from: string, to: string) =>
    contentField(fields.graph.node, [
      contentField(fields.node.input, from),
      contentField(fields.node.output, to),
      contentField(fields.node.opType, "Identity"),
    ]);
  return [
    same("goes on before", "goes on after"),
    same("logits before", "logits after"),
    contentField(fields.graph.name, "turn"),
    value(fields.graph.input, "turn", types.int64),
    value(fields.graph.input, "goes on before", types.bool),
    value(fields.graph.input, "logits before", types.float),
    value(fields.graph.output, "goes on after", types.bool),
    value(fields.graph.output, "logits after", types.float),
  ];
}

function renamed(node: Uint8Array): Uint8Array[] {
  const isLogits = (field: Field) => field.number === fields.node.output && textOf(field) === "logits";
  return [...fieldsOf(node)].map((field) =>
    isLogits(field) ? contentField(fields.node.output, "computed logits") : field.encoded,
  );
}

function scalar(name: string, type: number, raw: Uint8Array): Uint8Array {
  const { tensor } = fields;
  return contentField(fields.graph.initializer, [
    varintField(tensor.type, type),
    contentField(tensor.name, name),
    contentField(tensor.raw, raw),
  ]);
}

/** Loop wants turns and condition as scalars; the shape of what goes round is free. */
function value(number: number, name: string, type: number): Uint8Array {
  const { value: info } = fields;
  const shape = type === types.float ? [] : [contentField(info.shape, [])];
  return contentField(number, [
    contentField(info.name, name),
    contentField(info.type, [contentField(info.tensor, [varintField(info.elementType, type), ...shape])]),
  ]);
}
