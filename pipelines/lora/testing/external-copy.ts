import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { OnnxGraph } from "../onnx-graph.ts";

/**
 * Writes an ONNX file anew as `model.onnx`, with its layers' weights in `model.onnx_data`.
 * @param target an empty folder, or one whose `model.onnx` is replaced
 */
export async function writeWithExternalData(source: string, target: string): Promise<void> {
  const data = join(target, "model.onnx_data");
  const graph = await OnnxGraph.read(source);
  const handle = await open(data, "w");
  let length = 0;
  const sink = {
    path: data,
    async append(bytes: Uint8Array) {
      await handle.write(bytes);
      length += bytes.length;
      return length - bytes.length;
    },
  };
  async function* unchanged() {
    for (const { node } of graph.layers.values()) yield { node, values: await graph.weights(node) };
  }
  writeFileSync(join(target, "model.onnx"), await graph.withWeights(unchanged(), target, sink));
  await handle.close();
}
