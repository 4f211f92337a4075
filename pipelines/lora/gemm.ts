import { Component } from "#pipelines/core/onnx.ts";
import { contentField, varintField } from "#pipelines/core/protobuf.ts";

/**
 * A model of one operator, `y = a · b + c` in float32, any sizes: ONNX Runtime multiplies matrices some fifty times
 * faster than a loop of JavaScript, and a real SDXL has some seven hundred layers.
 */
export function loadGemm(): Promise<Component> {
  const text = (number: number, value: string) => contentField(number, value);
  const value = (name: string) =>
    [
      text(1, name),
      contentField(2, [contentField(1, [varintField(1, 1), contentField(2, [axis(`${name}0`), axis(`${name}1`)])])]),
    ] as const;
  const node = [text(1, "a"), text(1, "b"), text(1, "c"), text(2, "y"), text(3, "gemm"), text(4, "Gemm")];
  const graph = [
    contentField(1, node),
    text(2, "merge"),
    ...["a", "b", "c"].map((name) => contentField(11, value(name))),
    contentField(12, value("y")),
  ];
  const model = Buffer.concat([
    varintField(1, 8),
    contentField(7, graph),
    contentField(8, [text(1, ""), varintField(2, 13)]),
  ]);
  return Component.load("gemm", { executionProvider: "cpu" }, { bytes: model });
}

function axis(name: string): Uint8Array {
  return contentField(1, [contentField(2, name)]);
}
