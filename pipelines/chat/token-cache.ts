import { modelInvalid } from "#pipelines/core/errors.ts";
import type { Component, PreparedInput } from "#pipelines/core/onnx.ts";

/** What a model remembers of the tokens that it has read. */
export interface TokenCache {
  /** Tokens in it. */
  readonly length: number;
  /** Places for tokens that the model sees in it: the first `length` of them are taken. */
  readonly places: number;
  /** Keys and values by the name of the input, `[1, heads, places, width]`. */
  readonly values: Readonly<Record<string, PreparedInput>>;
  /** Output by the input that it becomes, or by its own name: what {@link add} wants of a run. */
  readonly kept: Readonly<Record<string, string>>;
  /** Takes what a run has made of so many more tokens. */
  add(made: Readonly<Record<string, PreparedInput>>, count: number): void;
  /** Gives the memory back at once. */
  release(): void;
}

/** The output of `tools/export/export_chat.py` that has the keys and values of the new tokens alone, of all layers. */
const newValues = "new_key_values";

/** Places are added by so many: each is one more that every later run looks at, and each time all are copied. */
const placesStep = 32;

/** An empty cache of the kind that the graph allows. */
export function startCache(component: Component, inputs: readonly string[]): TokenCache {
  return component.outputs.includes(newValues) ? new RoomyCache(component, inputs) : new HandedCache(component, inputs);
}

/** Goes whole from the outputs of a run to the inputs of the next: what every graph can do. */
class HandedCache implements TokenCache {
  length = 0;
  values: Readonly<Record<string, PreparedInput>>;
  readonly kept: Readonly<Record<string, string>>;

  constructor(component: Component, inputs: readonly string[]) {
    this.values = Object.fromEntries(inputs.map((name) => [name, emptyInput(component, name, 0)]));
    this.kept = Object.fromEntries(inputs.map((name) => [name, name.replace("past_key_values", "present")]));
  }

  get places(): number {
    return this.length;
  }

  add(made: Readonly<Record<string, PreparedInput>>, count: number): void {
    this.release();
    this.values = made;
    this.length += count;
  }

  release(): void {
    for (const value of Object.values(this.values)) value.release();
  }
}

/**
 * Lies where it is, with places to spare that the attention mask leaves out: a run gives the new tokens' keys and values
 * alone, and ONNX Runtime's binding, which copies every output, has next to nothing to copy. What is left out counts for
 * exactly nothing, so that results are the same.
 */
class RoomyCache implements TokenCache {
  length = 0;
  places = 0;
  values: Readonly<Record<string, PreparedInput>>;
  readonly kept = { [newValues]: newValues };
  readonly #component: Component;
  /** As the output has them: of each layer the keys, then the values. */
  readonly #order: readonly string[];

  constructor(component: Component, inputs: readonly string[]) {
    this.#component = component;
    const layers = inputs.length / 2;
    this.#order = Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`])
      .flat()
      .map((name) => `past_key_values.${name}`);
    this.values = Object.fromEntries(this.#order.map((name) => [name, emptyInput(component, name, 0)]));
  }

  add(made: Readonly<Record<string, PreparedInput>>, count: number): void {
    const source = made[newValues]?.numbers;
    const all = Object.values(this.values);
    const expected = all.reduce((sum, { dims: [, heads = 0, , width = 0] }) => sum + heads * count * width, 0);
    if (source?.length !== expected)
      throw modelInvalid(this.#component.path, `"${newValues}" has ${source?.length} values, not ${expected}`);
    const needed = this.length + count;
    if (needed > this.places) this.#grow(Math.ceil(needed / placesStep) * placesStep);
    let from = 0;
    for (const name of this.#order) {
      const { numbers, dims } = this.#value(name);
      const [, heads = 0, places = 0, width = 0] = dims;
      for (let head = 0; head < heads; head++, from += count * width)
        numbers.set(source.subarray(from, from + count * width), (head * places + this.length) * width);
    }
    this.length = needed;
    made[newValues]?.release();
  }

  release(): void {
    for (const value of Object.values(this.values)) value.release();
  }

  #value(name: string): PreparedInput {
    return this.values[name] ?? emptyInput(this.#component, name, 0);
  }

  #grow(places: number): void {
    const grown = this.#order.map((name) => {
      const old = this.#value(name);
      const value = emptyInput(this.#component, name, places);
      const [, heads = 0, , width = 0] = value.dims;
      const row = this.places * width;
      for (let head = 0; head < heads; head++)
        value.numbers.set(old.numbers.subarray(head * row, (head + 1) * row), head * places * width);
      old.release();
      return [name, value] as const;
    });
    this.values = Object.fromEntries(grown);
    this.places = places;
  }
}

/** Zeros: what is left out must be numbers. */
function emptyInput(component: Component, name: string, places: number): PreparedInput {
  const { shape } = component.inputs.get(name) ?? { shape: [] };
  const dims = shape.map((size, axis) => (typeof size === "number" ? size : axis === 0 ? 1 : places));
  return component.prepare(name, { data: new Float32Array(dims.reduce((product, size) => product * size, 1)), dims });
}
