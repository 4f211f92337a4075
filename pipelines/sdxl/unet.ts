import type { Component, PreparedInput } from "#pipelines/core/onnx.ts";
import { concat, elementCount, repeatBatch, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { combineGuidance, type Guidance, rescaleGuidance } from "#pipelines/diffusion/guidance.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import { ControlGuide, noResiduals } from "./control-guide.ts";
import type { PromptEmbeddings } from "./encode-prompt.ts";
import { type ImageEmbeddings, imagePromptInputs } from "./image-prompt.ts";
import { guidanceEmbedding, type TimeIds } from "./micro-conditions.ts";
import type { SdxlControl } from "./request.ts";
import { timestepInput } from "./timestep-input.ts";

export interface UnetConditions {
  readonly embeddings: PromptEmbeddings;
  readonly timeIds: TimeIds;
  readonly guidance: Guidance;
  /** Of a UNet that is shown the guidance scale: see {@link guidanceEmbedding}. */
  readonly guidanceWidth: number | undefined;
  /** What an inpainting UNet is shown beside the latents, `[batch, channels, height, width]`. */
  readonly besideLatents?: Tensor | undefined;
  /** What is drawn along: a ControlNet with its picture, `[1, 3, height, width]` in 0…1. */
  readonly control?: (SdxlControl & { readonly controlNet: Component; readonly pixels: Tensor }) | undefined;
  /** What is drawn after: a picture as the image encoder sees it. */
  readonly imagePrompt?: ImageEmbeddings | undefined;
  /** Index in the schedule of the first step that is run; 0 when absent. */
  readonly startStep?: number | undefined;
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
  readonly #control: ControlGuide | undefined;
  readonly #startStep: number;

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
    const shared = {
      encoder_hidden_states: stack(halves.map(({ hidden }) => hidden)),
      text_embeds: stack(halves.map(({ pooled }) => pooled)),
      time_ids: stack(negative === undefined ? [ids.positive] : [ids.negative, ids.positive]),
    };
    const { control, imagePrompt } = conditions;
    this.#startStep = conditions.startStep ?? 0;
    this.#control =
      control &&
      new ControlGuide(unet, {
        ...control,
        control,
        shared,
        rows: halves.length * batch,
        isGuided: halves.length === 2,
      });
    const prepared = Object.entries(shared).map(([name, value]) => [name, unet.prepare(name, value)] as const);
    this.#conditions = {
      ...Object.fromEntries(prepared),
      ...noResiduals(unet),
      ...imagePromptInputs(unet, imagePrompt, batch, halves.length),
      ...(guidanceWidth === undefined
        ? {}
        : { timestep_cond: unet.prepare("timestep_cond", stack([guidanceEmbedding(guidance.scale, guidanceWidth)])) }),
    };
  }

  /** The noise that these latents hold, after guidance, in their shape. */
  async predict(latents: Tensor, stepIndex: number): Promise<Tensor> {
    const { dims } = this.#input;
    this.#fillLatents(latents, stepIndex);
    const timestep = this.#schedule.timesteps[stepIndex] ?? 0;
    const residuals = await this.#control?.residuals(
      this.#latentsOfInput(latents.dims),
      timestep,
      this.#shareDone(stepIndex),
    );
    const feeds = {
      ...this.#conditions,
      ...residuals,
      sample: this.#input,
      timestep: timestepInput(this.#unet, timestep, dims[0] ?? 1),
    };
    const { out_sample: output } = await this.#unet.run(feeds, ["out_sample"]);
    if (residuals !== undefined) this.#control?.release(residuals);
    return this.#halves === 1 ? tensor(output.data, latents.dims) : this.#guide(output, latents.dims);
  }

  #shareDone(stepIndex: number): { readonly before: number; readonly after: number } {
    const total = this.#schedule.timesteps.length - this.#startStep;
    const step = stepIndex - this.#startStep;
    return { before: step / total, after: (step + 1) / total };
  }

  /** The input without what lies beside the latents. */
  #latentsOfInput(dims: readonly number[]): Tensor {
    const { data, dims: inputDims } = this.#input;
    const [rows = 0] = inputDims;
    if (inputDims[1] === dims[1]) return this.#input;
    const [rowLength, size] = [data.length / rows, elementCount(dims.slice(1))];
    const latents = new Float32Array(rows * size);
    for (let row = 0; row < rows; row++) {
      latents.set(data.subarray(row * rowLength, row * rowLength + size), row * size);
    }
    return tensor(latents, dims.with(0, rows));
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
