import type { Component } from "#pipelines/core/onnx.ts";
import { type Tensor, tensor } from "#pipelines/core/tensor.ts";

/** Exports differ: the timestep is a scalar, one value, or one value per row. */
export function timestepInput(component: Component, timestep: number, rows: number): Tensor {
  const shape = component.inputs.get("timestep")?.shape ?? [];
  const size = shape[0];
  if (size === undefined) return tensor(Float32Array.of(timestep), []);
  const count = typeof size === "number" ? size : size.includes("batch") ? rows : 1;
  return tensor(new Float32Array(count).fill(timestep), [count]);
}
