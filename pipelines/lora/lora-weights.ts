import type { ComponentSet, Rewrite, Variant } from "#pipelines/core/component-set.ts";
import { Component, type SessionSettings } from "#pipelines/core/onnx.ts";
import { type LoraComponent, loraComponents } from "./layer-names.ts";
import { type Lora, OpenLoras } from "./merged-graph.ts";

/** The LoRA files that are merged into the models of one pipeline now. */
export class LoraWeights {
  readonly #components: ComponentSet;
  readonly #files: Readonly<Partial<Record<LoraComponent, string>>>;
  #key = "";
  #signal: AbortSignal | undefined;
  /** As the last job named them: the files of an earlier one may be gone. */
  #loras: readonly Lora[] = [];

  /** @param files of the models that a LoRA may change, as the set knows them; refiners have one text encoder */
  constructor(components: ComponentSet, files: Readonly<Partial<Record<LoraComponent, string>>>) {
    this.#components = components;
    this.#files = files;
  }

  /**
   * From now on the pipeline's models have these changes and no others. What is in memory with the same changes is used
   * again. Strengths of 0 change nothing.
   * @throws PipelineError LORA_INVALID, MODEL_INVALID, MODEL_TOO_LARGE or DISK_FULL; the signal's reason. The models are
   *   then those without changes
   */
  async use(loras: readonly Lora[], signal?: AbortSignal): Promise<void> {
    const wanted = loras.filter(({ strength }) => strength !== 0);
    // The order does not matter to the sum, but for rounding: one order makes one picture.
    const sorted = [...wanted].sort((one, other) => compare(one.version, other.version));
    const key = JSON.stringify(sorted.map(({ version, strength }) => [version, strength]));
    this.#signal = signal;
    this.#loras = sorted;
    if (key === this.#key) return;
    this.#key = "";
    const open = await OpenLoras.open(sorted);
    try {
      for (const component of loraComponents) {
        const file = this.#files[component];
        if (file === undefined) {
          open.checkUnchanged(component);
          continue;
        }
        const isChanged = open.changes(component);
        await this.#components.choose(file, isChanged ? this.#variant(component, key) : undefined);
        // What is wrong with a change is found now; the rest comes when its stage does.
        if (isChanged) await this.#components.get(file);
      }
      this.#key = key;
    } catch (error) {
      for (const file of Object.values(this.#files)) await this.#components.choose(file, undefined);
      throw error;
    } finally {
      await open.close();
    }
  }

  /** May be loaded again later, when memory was needed for something else meanwhile. */
  #variant(component: LoraComponent, key: string): Variant {
    const load = async (path: string, settings: SessionSettings, rewrite: Rewrite | undefined) => {
      const open = await OpenLoras.open(this.#loras);
      try {
        const graph = await open.merge(component, path, this.#signal);
        try {
          const { bytes, dataFolder } = graph;
          return await Component.load(path, settings, { bytes: rewrite?.(bytes) ?? bytes, dataFolder });
        } finally {
          await graph.dispose();
        }
      } finally {
        await open.close();
      }
    };
    return { key, load };
  }
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}
