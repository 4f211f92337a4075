import { setImmediate } from "node:timers/promises";
import { numericalError } from "#pipelines/core/errors.ts";
import type { Component } from "#pipelines/core/onnx.ts";
import { combineGuidance, concat, isFiniteData, repeatBatch, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { rescaleGuidance } from "#pipelines/diffusion/guidance-rescale.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { PromptEmbeddings } from "./encode-prompt.ts";

export interface DenoiseRequest {
  readonly unet: Component;
  readonly schedule: Schedule;
  /** Noise times the schedule's `initNoiseSigma`, `[batch, channels, height, width]`; overwritten. */
  readonly latents: Tensor;
  readonly embeddings: PromptEmbeddings;
  /** `[1, 6]`, see {@link sizeIds}. */
  readonly timeIds: Tensor;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after every step; the tensors are only valid until it returns. */
  onStep?(step: DenoiseStep): void;
}

export interface DenoiseStep {
  /** Steps done, counted from 1. */
  readonly step: number;
  readonly total: number;
  /** The latents that the step started from, the prediction after guidance, and the latents that it made. */
  readonly sample: Tensor;
  readonly noisePrediction: Tensor;
  readonly latents: Tensor;
}

/** SDXL's size conditioning (Podell et al., "SDXL", 2023, section 2.2): original size, crop offset, target size. */
export function sizeIds(size: { readonly width: number; readonly height: number }): Tensor {
  return tensor(Float32Array.of(size.height, size.width, 0, 0, size.height, size.width), [1, 6]);
}

/**
 * The denoising loop. Unconditional and conditional half run as one batch, in diffusers' order.
 * @returns the clean latents, `[batch, channels, height, width]`
 * @throws the signal's reason when it is aborted, before the next step; PipelineError NUMERICAL_ERROR naming the step
 */
export async function denoise(request: DenoiseRequest): Promise<Tensor> {
  const { unet, schedule, signal } = request;
  const { dims } = request.latents;
  const batch = dims[0] ?? 0;
  const halves = request.embeddings.negative === undefined ? 1 : 2;
  const size = request.latents.data.length;
  const input = tensor(new Float32Array(halves * size), dims.with(0, halves * batch));
  const conditions = prepareConditions(request, batch);
  const total = schedule.timesteps.length;

  let sample = request.latents;
  let next = tensor(new Float32Array(size), dims);
  for (let index = 0; index < total; index++) {
    signal?.throwIfAborted();
    schedule.scaleModelInput(sample.data, index, input.data.subarray(0, size));
    if (halves === 2) input.data.copyWithin(size, 0, size);
    const timestep = timestepInput(unet, schedule.timesteps[index] ?? 0, halves * batch);
    const { out_sample: output } = await unet.run({ ...conditions, sample: input, timestep }, ["out_sample"]);
    const noisePrediction = guide(request, output, sample);
    schedule.step(noisePrediction.data, index, sample.data, next.data);
    if (!isFiniteData(next.data)) throw stepError(index, total);
    request.onStep?.({ step: index + 1, total, sample, noisePrediction, latents: next });
    [sample, next] = [next, sample];
    // Messages of the dispatcher (cancel, shutdown) come in between steps only.
    await setImmediate();
  }
  signal?.throwIfAborted();
  return sample;
}

/** The inputs that stay the same over all steps, converted to the UNet's data types once. */
function prepareConditions({ unet, embeddings, timeIds }: DenoiseRequest, batch: number) {
  const { positive, negative } = embeddings;
  const halves = negative === undefined ? [positive] : [negative, positive];
  const stack = (parts: readonly Tensor[]) =>
    concat(
      parts.map((part) => repeatBatch(part, batch)),
      0,
    );
  return {
    encoder_hidden_states: unet.prepare("encoder_hidden_states", stack(halves.map(({ hidden }) => hidden))),
    text_embeds: unet.prepare("text_embeds", stack(halves.map(({ pooled }) => pooled))),
    time_ids: unet.prepare("time_ids", repeatBatch(timeIds, halves.length * batch)),
  };
}

/** Exports differ: the timestep is a scalar, one value, or one value per row. */
function timestepInput(unet: Component, timestep: number, rows: number): Tensor {
  const shape = unet.inputs.get("timestep")?.shape ?? [];
  const size = shape[0];
  if (size === undefined) return tensor(Float32Array.of(timestep), []);
  const count = typeof size === "number" ? size : size.includes("batch") ? rows : 1;
  return tensor(new Float32Array(count).fill(timestep), [count]);
}

/** Combines the halves of the UNet's output in place of the first. */
function guide(request: DenoiseRequest, output: Tensor, sample: Tensor): Tensor {
  const size = sample.data.length;
  if (request.embeddings.negative === undefined) return tensor(output.data, sample.dims);
  const guided = output.data.subarray(0, size);
  combineGuidance(output.data, request.guidanceScale, guided);
  if (request.guidanceRescale > 0) {
    rescaleGuidance(guided, output.data.subarray(size), sample.dims[0] ?? 1, request.guidanceRescale);
  }
  return tensor(guided, sample.dims);
}

function stepError(index: number, total: number): Error {
  return numericalError(
    `the latents after step ${index + 1} of ${total}`,
    "Weights that overflow in float16 do this, or a guidance scale far out of range.",
  );
}
