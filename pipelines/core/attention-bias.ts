import { contentField, type Field, fieldsOf, textOf, varintField } from "./protobuf.ts";

/** Numbers of the fields in onnx.proto that are read or written here. */
const fields = {
  model: { graph: 7 },
  graph: { node: 1, input: 11 },
  node: { input: 1, output: 2, name: 3, opType: 4 },
  valueInfo: { name: 1, type: 2 },
  type: { tensor: 1 },
  tensorType: { elementType: 1, shape: 2 },
  shape: { dimension: 1 },
  dimension: { value: 1, parameter: 2 },
} as const;

const elementTypes = { float32: 1, float16: 10 } as const;

export type FloatType = keyof typeof elementTypes;

/** Name of the input that {@link withAttentionBias} adds: `[1, 1, sequence]`, for one sequence at a time. */
export const attentionBiasName = "attention_bias";

/**
 * The ONNX file of a text encoder with one input more, that is added to all attention scores before their softmax: 0 keeps
 * a token, a large negative number hides it. Exported text encoders take no attention mask, and this is one.
 * @param type of the scores in this model
 * @returns undefined when no softmax is there to be found, as in graphs with fused attention
 * @throws RangeError when it is no ONNX file
 */
export function withAttentionBias(model: Uint8Array, type: FloatType): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let found = 0;
  for (const field of fieldsOf(model)) {
    if (field.number !== fields.model.graph) parts.push(field.encoded);
    else {
      const { graph, count } = editGraph(field.content, type);
      found += count;
      parts.push(contentField(fields.model.graph, graph));
    }
  }
  return found === 0 ? undefined : Buffer.concat(parts);
}

function editGraph(graph: Uint8Array, type: FloatType): { readonly graph: Uint8Array[]; readonly count: number } {
  const edited: Uint8Array[] = [];
  let count = 0;
  for (const field of fieldsOf(graph)) {
    const node = field.number === fields.graph.node ? readNode(field.content) : undefined;
    if (node?.opType !== "Softmax" || node.scores === undefined) edited.push(field.encoded);
    else {
      count++;
      edited.push(...softmaxWithBias(node.scores, node.others, count));
    }
  }
  return { graph: [...edited, biasInput(type)], count };
}

function readNode(node: Uint8Array) {
  const all = [...fieldsOf(node)];
  const of = (number: number) => all.find((field) => field.number === number);
  const text = (field: Field | undefined) => field && textOf(field);
  return {
    opType: text(of(fields.node.opType)),
    scores: text(of(fields.node.input)),
    others: all.filter(({ number }) => number !== fields.node.input).map(({ encoded }) => encoded),
  };
}

function softmaxWithBias(scores: string, others: readonly Uint8Array[], count: number): Uint8Array[] {
  const { input, output, name, opType } = fields.node;
  const biased = `${scores}/${attentionBiasName}.${count}`;
  const add = contentField(fields.graph.node, [
    contentField(input, scores),
    contentField(input, attentionBiasName),
    contentField(output, biased),
    contentField(name, `/${attentionBiasName}/Add.${count}`),
    contentField(opType, "Add"),
  ]);
  return [add, contentField(fields.graph.node, [contentField(input, biased), ...others])];
}

function biasInput(type: FloatType): Uint8Array {
  const { valueInfo, tensorType, shape, dimension } = fields;
  const one = contentField(shape.dimension, [varintField(dimension.value, 1)]);
  const sequence = contentField(shape.dimension, [contentField(dimension.parameter, "attended_length")]);
  const tensor = contentField(fields.type.tensor, [
    varintField(tensorType.elementType, elementTypes[type]),
    contentField(tensorType.shape, [one, one, sequence]),
  ]);
  return contentField(fields.graph.input, [
    contentField(valueInfo.name, attentionBiasName),
    contentField(valueInfo.type, [tensor]),
  ]);
}
