import { modelInvalid } from "#pipelines/core/errors.ts";
import type { Component, PreparedInput } from "#pipelines/core/onnx.ts";
import { concat, repeatBatch, type Tensor, tensor, zeros } from "#pipelines/core/tensor.ts";
import type { SdxlControl } from "./request.ts";
import { midInput, residualNames } from "./residual-names.ts";
import { timestepInput } from "./timestep-input.ts";

/** Residuals that change nothing: zeros of one pixel, which are added to all of them. */
export function noResiduals(unet: Component): Record<string, PreparedInput> {
  const entries = [...residualNames(unet.inputs.keys()).keys()].map((name) => {
    const dims = (unet.inputs.get(name)?.shape ?? []).map((size) => (typeof size === "number" ? size : 1));
    return [name, unet.prepare(name, zeros(dims))] as const;
  });
  return Object.fromEntries(entries);
}

export interface ControlConditions {
  readonly controlNet: Component;
  readonly control: SdxlControl;
  /** The picture, `[1, 3, height, width]` in 0…1. */
  readonly pixels: Tensor;
  /** What the UNet gets too, by its names, for all rows. */
  readonly shared: Readonly<Record<"encoder_hidden_states" | "text_embeds" | "time_ids", Tensor>>;
  /** Of the UNet's input, the unconditional half first where `isGuided`. */
  readonly rows: number;
  readonly isGuided: boolean;
}

/** A ControlNet over one run, as diffusers' `StableDiffusionXLControlNetPipeline` asks it before every step of the UNet. */
export class ControlGuide {
  readonly #unet: Component;
  readonly #controlNet: Component;
  readonly #control: SdxlControl;
  readonly #outputs: ReadonlyMap<string, string>;
  readonly #none: Readonly<Record<string, PreparedInput>>;
  readonly #conditions: Readonly<Record<string, PreparedInput>>;
  /** Rows that the ControlNet is shown: in guess mode not those without the prompt. */
  readonly #rows: number;
  /** Rows before them that get nothing added. */
  readonly #emptyRows: number;

  /** @throws PipelineError MODEL_INVALID when the UNet takes no residuals */
  constructor(unet: Component, conditions: ControlConditions) {
    const { controlNet, control, pixels, shared, rows, isGuided } = conditions;
    const inputs = residualNames(unet.inputs.keys());
    if (!inputs.has(midInput)) {
      throw modelInvalid(
        unet.path,
        "it was exported without inputs for a ControlNet: export it again with --controlnet",
      );
    }
    this.#unet = unet;
    this.#controlNet = controlNet;
    this.#control = control;
    this.#outputs = new Map([...inputs].map(([input, output]) => [output, input]));
    this.#none = noResiduals(unet);
    this.#emptyRows = control.guessMode === true && isGuided ? rows / 2 : 0;
    this.#rows = rows - this.#emptyRows;
    const prepare = (name: string, value: Tensor) => [name, controlNet.prepare(name, value)] as const;
    this.#conditions = Object.fromEntries([
      ...Object.entries(shared).map(([name, value]) => prepare(name, this.#shown(value))),
      prepare("controlnet_cond", repeatBatch(pixels, this.#rows)),
      prepare("conditioning_scale", tensor(this.#scales(), [inputs.size])),
    ]);
  }

  /**
   * What is added to the UNet's connections.
   * @param latents the UNet's input of this step without what an inpainting UNet is shown beside it
   * @param done share of the run's steps before this one, and with it: 0.2 and 0.3 in the third of ten
   */
  async residuals(
    latents: Tensor,
    timestep: number,
    done: { readonly before: number; readonly after: number },
  ): Promise<Readonly<Record<string, PreparedInput>>> {
    if (done.before < this.#control.start || done.after > this.#control.end) return this.#none;
    const feeds = {
      ...this.#conditions,
      sample: this.#shown(latents),
      timestep: timestepInput(this.#controlNet, timestep, this.#rows),
    };
    if (this.#emptyRows === 0) return this.#controlNet.runInto(this.#unet, feeds, this.#outputs);
    const made = await this.#controlNet.run(feeds, [...this.#outputs.keys()]);
    const entries = Object.entries(made).map(([output, residual]) => {
      const input = this.#outputs.get(output) ?? output;
      return [input, this.#unet.prepare(input, this.#withEmptyRows(residual))] as const;
    });
    return Object.fromEntries(entries);
  }

  /** Gives the memory of what {@link residuals} has returned back, unless it is used again. */
  release(residuals: Readonly<Record<string, PreparedInput>>): void {
    if (residuals === this.#none) return;
    for (const residual of Object.values(residuals)) residual.release();
  }

  #shown({ data, dims }: Tensor): Tensor {
    const [rows = 1] = dims;
    return tensor(data.subarray((data.length / rows) * this.#emptyRows), dims.with(0, this.#rows));
  }

  #withEmptyRows(residual: Tensor): Tensor {
    return concat([zeros(residual.dims.with(0, this.#emptyRows)), residual], 0);
  }

  /** One per residual, all alike but in guess mode, where deeper ones count more: from a tenth to all. */
  #scales(): Float32Array {
    const count = this.#outputs.size;
    const { scale, guessMode = false } = this.#control;
    return Float32Array.from({ length: count }, (_, index) =>
      guessMode ? Math.fround(10 ** (index / (count - 1) - 1)) * scale : scale,
    );
  }
}
