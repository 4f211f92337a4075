import { setImmediate } from "node:timers/promises";
import type { ComponentSet } from "#pipelines/core/component-set.ts";
import type { Component, PreparedInput } from "#pipelines/core/onnx.ts";
import { concat, release, type Tensor, tensor } from "#pipelines/core/tensor.ts";
import { combineGuidance } from "#pipelines/diffusion/guidance.ts";
import { setFrame } from "#pipelines/diffusion/video-frames.ts";
import type { Schedule } from "#pipelines/schedulers/scheduler.ts";
import type { Conditioning } from "./conditioning.ts";
import { files } from "./model-folder.ts";
import type { RotaryTables } from "./rotary.ts";

/** Which transformer predicts at a step, and how far its prediction is guided. */
interface StagePlan {
  readonly file: string;
  readonly guidanceScale: number;
}

export interface TransformerConditions {
  /** `[1, positions, width]` */
  readonly prompt: Tensor;
  /** Absent: no guidance. */
  readonly negativePrompt: Tensor | undefined;
  readonly rotary: RotaryTables;
  /** What the clip is made from beside the prompt: channels beside the latents, and further inputs. */
  readonly beside?: Pick<Conditioning, "channels" | "inputs" | "firstFrame"> | undefined;
  /** Tokens of the clip and of its first latent frame, for transformers that have a timestep for every token. */
  readonly byToken?: { readonly tokens: number; readonly ofFirstFrame: number } | undefined;
  readonly guidanceScale: number;
  /** Of a model with two transformers. */
  readonly second?: { readonly boundaryTimestep: number; readonly guidanceScale: number } | undefined;
}

/** The inputs that stay the same over all steps, converted to one transformer's data types once. */
interface PreparedConditions {
  readonly prompt: PreparedInput;
  readonly negativePrompt: PreparedInput | undefined;
  /** Rotary tables, and what the condition adds. */
  readonly further: Readonly<Record<string, PreparedInput>>;
}

/**
 * The transformers over one run. With guidance they run twice for each step, one prompt after the other: half the memory
 * of a batch of two, at the same speed for clips of any length.
 */
export class TransformerPredictor {
  readonly #components: ComponentSet;
  readonly #schedule: Schedule;
  readonly #conditions: TransformerConditions;
  readonly #prepared = new Map<string, PreparedConditions>();
  /** Latents with what the condition puts among or after them, as one input; they are written anew at each step. */
  #joined: Tensor | undefined;
  #last: Tensor | undefined;

  constructor(components: ComponentSet, schedule: Schedule, conditions: TransformerConditions) {
    this.#components = components;
    this.#schedule = schedule;
    this.#conditions = conditions;
  }

  /**
   * The velocity at these latents, after guidance, in their shape `[1, channels, frames, height, width]`; valid until the next
   * call.
   */
  async predict(latents: Tensor, stepIndex: number, signal: AbortSignal | undefined): Promise<Tensor> {
    if (this.#last !== undefined) release(this.#last);
    const timestep = this.#schedule.timesteps[stepIndex] ?? 0;
    const { file, guidanceScale } = this.#planOf(timestep);
    const transformer = await this.#components.get(file);
    const { prompt, negativePrompt, further } = this.#conditionsFor(file, transformer);
    const shared = {
      hidden_states: transformer.prepare("hidden_states", this.#hiddenStates(latents)),
      timestep: transformer.prepare("timestep", this.#timestepInput(timestep)),
      ...further,
    };
    const run = async (encoderHiddenStates: PreparedInput) => {
      const feeds = { ...shared, encoder_hidden_states: encoderHiddenStates };
      const { out_sample: output } = await transformer.run(feeds, ["out_sample"]);
      return output;
    };
    const conditional = await run(prompt);
    this.#last = conditional;
    // At a scale of 1 the other prediction counts nothing.
    if (negativePrompt === undefined || guidanceScale === 1) return conditional;
    await setImmediate();
    signal?.throwIfAborted();
    const unconditional = await run(negativePrompt);
    combineGuidance(unconditional.data, conditional.data, guidanceScale, conditional.data);
    release(unconditional);
    return conditional;
  }

  #hiddenStates(latents: Tensor): Tensor {
    const { channels, firstFrame } = this.#conditions.beside ?? {};
    if (channels === undefined && firstFrame === undefined) return latents;
    this.#joined ??= concat(channels === undefined ? [latents] : [latents, channels], 1);
    this.#joined.data.set(latents.data);
    if (firstFrame !== undefined) setFrame(this.#joined, 0, firstFrame);
    return this.#joined;
  }

  /** `[1]`, or for every token `[1, tokens]`: 0 for those of a frame that is given. */
  #timestepInput(timestep: number): Tensor {
    const { byToken, beside } = this.#conditions;
    if (byToken === undefined) return tensor(Float32Array.of(timestep), [1]);
    const timesteps = new Float32Array(byToken.tokens).fill(timestep);
    if (beside?.firstFrame !== undefined) timesteps.fill(0, 0, byToken.ofFirstFrame);
    return tensor(timesteps, [1, byToken.tokens]);
  }

  #planOf(timestep: number): StagePlan {
    const { second, guidanceScale } = this.#conditions;
    if (second === undefined || timestep >= second.boundaryTimestep) return { file: files.transformer, guidanceScale };
    return { file: files.transformer2, guidanceScale: second.guidanceScale };
  }

  #conditionsFor(file: string, transformer: Component): PreparedConditions {
    const known = this.#prepared.get(file);
    if (known !== undefined) return known;
    const { prompt, negativePrompt, rotary, beside } = this.#conditions;
    const further = { rotary_cos: rotary.cos, rotary_sin: rotary.sin, ...beside?.inputs };
    const text = (embedding: Tensor) => transformer.prepare("encoder_hidden_states", embedding);
    const prepared = {
      prompt: text(prompt),
      negativePrompt: negativePrompt === undefined ? undefined : text(negativePrompt),
      further: Object.fromEntries(
        Object.entries(further).map(([name, value]) => [name, transformer.prepare(name, value)]),
      ),
    };
    this.#prepared.set(file, prepared);
    return prepared;
  }
}
