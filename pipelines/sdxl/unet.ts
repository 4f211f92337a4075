import type { Component, PreparedInput } from "#pipelines/core/onnx.ts";
import { concat, repeatBatch, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { combineGuidance, type Guidance, rescaleGuidance } from "#pipelines/diffusion/guidance.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { PromptEmbeddings } from "./encode-prompt.ts";
import { guidanceEmbedding, type TimeIds } from "./micro-conditions.ts";

export interface UnetConditions {
  readonly embeddings: PromptEmbeddings;
  readonly timeIds: TimeIds;
  readonly guidance: Guidance;
  /** Of a UNet that is shown the guidance scale: see {@link guidanceEmbedding}. */
  readonly guidanceWidth: number | undefined;
  /** What an inpainting UNet is shown beside the latents, `[batch, channels, height, width]`. */
  readonly besideLatents?: Tensor | undefined;
}

/** The UNet over one run: unconditional and conditional half as one batch, in diffusers' order. */
export class UnetPredictor {
  readonly #unet: Component;
  readonly #schedule: Schedule;
  readonly #guidance: Guidance;
  /** 2 with guidance. */
  readonly #halves: number;
  /** Receives the model's input, `[halves · batch, channels, height, width]`. */
  readonly #input: Tensor;
  /** The inputs that stay the same over all steps, converted to the UNet's data types once. */
  readonly #conditions: Readonly<Record<string, PreparedInput>>;

  /** @param dims of the latents, `[batch, channels, height, width]` */
  constructor(unet: Component, schedule: Schedule, dims: readonly number[], conditions: UnetConditions) {
    const { positive, negative } = conditions.embeddings;
    const halves = negative === undefined ? [positive] : [negative, positive];
    const batch = dims[0] ?? 0;
    const { besideLatents, guidance, guidanceWidth, timeIds: ids } = conditions;
    const channels = (dims[1] ?? 0) + (besideLatents?.dims[1] ?? 0);
    const inputDims = dims.with(0, halves.length * batch).with(1, channels);
    const stack = (parts: readonly Tensor[]) =>
      concat(
        parts.map((part) => repeatBatch(part, batch)),
        0,
      );
    this.#unet = unet;
    this.#schedule = schedule;
    this.#guidance = guidance;
    this.#halves = halves.length;
    this.#input = tensor(new Float32Array(inputDims.reduce((product, size) => product * size, 1)), inputDims);
    if (besideLatents !== undefined) this.#fillBeside(besideLatents, batch);
    this.#conditions = {
      encoder_hidden_states: unet.prepare("encoder_hidden_states", stack(halves.map(({ hidden }) => hidden))),
      text_embeds: unet.prepare("text_embeds", stack(halves.map(({ pooled }) => pooled))),
      time_ids: unet.prepare("time_ids", stack(negative === undefined ? [ids.positive] : [ids.negative, ids.positive])),
      ...(guidanceWidth === undefined
        ? {}
        : { timestep_cond: unet.prepare("timestep_cond", stack([guidanceEmbedding(guidance.scale, guidanceWidth)])) }),
    };
  }

  /** The noise that these latents hold, after guidance, in their shape. */
  async predict(latents: Tensor, stepIndex: number): Promise<Tensor> {
    const { dims } = this.#input;
    this.#fillLatents(latents, stepIndex);
    const timestep = timestepInput(this.#unet, this.#schedule.timesteps[stepIndex] ?? 0, dims[0] ?? 1);
    const feeds = { ...this.#conditions, sample: this.#input, timestep };
    const { out_sample: output } = await this.#unet.run(feeds, ["out_sample"]);
    return this.#halves === 1 ? tensor(output.data, latents.dims) : this.#guide(output, latents.dims);
  }

  /** Latents lie at the beginning of each row of the input. */
  #fillLatents({ data: latents, dims }: Tensor, stepIndex: number): void {
    const { data } = this.#input;
    const batch = dims[0] ?? 1;
    const size = latents.length / batch;
    const rowLength = data.length / (this.#halves * batch);
    for (let row = 0; row < batch; row++) {
      const input = data.subarray(row * rowLength, row * rowLength + size);
      this.#schedule.scaleModelInput(latents.subarray(row * size, (row + 1) * size), stepIndex, input);
    }
    if (this.#halves === 2) data.copyWithin(data.length / 2, 0, data.length / 2);
  }

  /** The rest of each row of the input, which stays over all steps. */
  #fillBeside({ data: beside }: Tensor, batch: number): void {
    const { data } = this.#input;
    const size = beside.length / batch;
    const rowLength = data.length / (this.#halves * batch);
    for (let row = 0; row < batch; row++) {
      data.set(beside.subarray(row * size, (row + 1) * size), (row + 1) * rowLength - size);
    }
  }

  /** Combines the halves of the UNet's output in place of the first. */
  #guide({ data }: Tensor, dims: readonly number[]): Tensor {
    const { scale, rescale } = this.#guidance;
    const guided = data.subarray(0, data.length / 2);
    const conditional = data.subarray(data.length / 2);
    combineGuidance(guided, conditional, scale, guided);
    if (rescale > 0) rescaleGuidance(guided, conditional, dims[0] ?? 1, rescale);
    return tensor(guided, dims);
  }
}

/** Exports differ: the timestep is a scalar, one value, or one value per row. */
function timestepInput(unet: Component, timestep: number, rows: number): Tensor {
  const shape = unet.inputs.get("timestep")?.shape ?? [];
  const size = shape[0];
  if (size === undefined) return tensor(Float32Array.of(timestep), []);
  const count = typeof size === "number" ? size : size.includes("batch") ? rows : 1;
  return tensor(new Float32Array(count).fill(timestep), [count]);
}
