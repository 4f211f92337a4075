import { z } from "zod";
import { loraInvalid } from "./errors.ts";
import { type LayerName, layerOfModule } from "./layer-names.ts";
import { SafetensorsFile } from "./safetensors.ts";

/**
 * One layer's low-rank change, by the names of its tensors: `up · down`, for a LoCon with a core `up · mid · down`.
 * Shapes: down `[rank, in]` or `[rank, in, height, width]`, up `[out, rank]` or `[out, rank, 1, 1]`, mid
 * `[rank, rank, height, width]`.
 */
export interface LoraLayer extends LayerName {
  /** As the file calls it. */
  readonly module: string;
  readonly down: string;
  readonly up: string;
  readonly mid: string | undefined;
  readonly rank: number;
  /** What `up · down` is multiplied with: `alpha / rank`, or 1 where the file states no alpha. */
  readonly scale: number;
}

/** A LoRA file that is open: what it changes, and its tensors. */
export interface LoraFile {
  readonly tensors: SafetensorsFile;
  readonly layers: readonly LoraLayer[];
}

/** Kinds of files that are no plain LoRA, by a part of their tensors' names. */
const otherKinds: readonly (readonly [RegExp, string])[] = [
  [/\.dora_scale$|lora_magnitude_vector/, "DoRA (weight-decomposed)"],
  [/\.hada_w\d/, "LoHa"],
  [/\.lokr_w\d/, "LoKr"],
  [/\.oft_/, "OFT"],
  [/\.(a1|a2|b1|b2|bm1|bm2)\.weight$/, "GLoRA"],
  [/\.diff(_b)?$|\.set_weight$/, "a full difference"],
  [/lora_[AB](\.[\w-]+)?\.bias$/, "LoRA with biases"],
];

/** How the layouts name the halves of a change: PEFT, kohya, and two that diffusers wrote before. */
const halves: readonly RegExp[] = [
  /^(?<module>.+)\.lora_(?<half>A|B)(?:\.[\w-]+)?\.weight$/,
  /^(?<module>.+)\.lora_(?<half>down|up|mid)\.weight$/,
  /^(?<module>.+)\.(?:lora|lora_linear_layer)\.(?<half>down|up)\.weight$/,
  /^(?<module>.+\.processor\.[^.]+_lora)\.(?<half>down|up)\.weight$/,
];
const halfNames: Readonly<Record<string, "down" | "up" | "mid">> = {
  A: "down",
  B: "up",
  down: "down",
  up: "up",
  mid: "mid",
};

/**
 * Opens a LoRA in any of the layouts of diffusers, kohya and PEFT. The caller closes `tensors`.
 * @throws PipelineError LORA_INVALID when it is none, damaged, or of a kind that is not merged here
 */
export async function openLora(path: string, name = path): Promise<LoraFile> {
  const tensors = await SafetensorsFile.open(path, name);
  try {
    const layers = await readLayers(tensors);
    if (layers.length === 0) throw loraInvalid(name, "there is no LoRA in it");
    return { tensors, layers };
  } catch (error) {
    await tensors.close();
    throw error;
  }
}

async function readLayers(tensors: SafetensorsFile): Promise<LoraLayer[]> {
  const settings = adapterSettings(tensors);
  const layers = new Map<string, LoraLayer>();
  for (const [module, { down, up, mid, alpha }] of partsByModule(tensors)) {
    const refuse = (problem: string) => loraInvalid(tensors.name, problem);
    if (down === undefined || up === undefined) throw refuse(`"${module}" has only one half of its change`);
    const layer = layerOfModule(module);
    const id = `${layer.component} ${layer.layer}`;
    if (layers.has(id)) throw refuse(`"${module}" changes a layer that another part of it changes already`);
    const rank = tensors.dims(down)[0] ?? 0;
    if (rank === 0) throw refuse(`"${down}" is empty`);
    const stated = alpha === undefined ? undefined : (await tensors.read(alpha)).data[0];
    const scale = stated === undefined ? settings(layer, module, rank) : stated / rank;
    layers.set(id, { ...layer, module, down, up, mid, rank, scale });
  }
  return [...layers.values()];
}

type Part = "down" | "up" | "mid" | "alpha";

/** The names of each module's tensors. */
function partsByModule({ name: path, names }: SafetensorsFile): Map<string, Partial<Record<Part, string>>> {
  const found = new Map<string, Partial<Record<Part, string>>>();
  for (const name of names) {
    const other = otherKinds.find(([pattern]) => pattern.test(name));
    if (other !== undefined) {
      throw loraInvalid(path, `it is ${other[1]} ("${name}"); plain LoRA and LoCon can be merged`);
    }
    const part = partOf(name);
    if (part === undefined) throw loraInvalid(path, `"${name}" is no tensor of a LoRA for this model`);
    const known = found.get(part.module) ?? {};
    if (known[part.half] !== undefined) throw loraInvalid(path, `"${name}" is there twice`);
    known[part.half] = name;
    found.set(part.module, known);
  }
  return found;
}

function partOf(name: string): { module: string; half: Part } | undefined {
  const alpha = /^(.+)\.alpha$/.exec(name)?.[1];
  if (alpha !== undefined) return { module: alpha, half: "alpha" };
  for (const pattern of halves) {
    const { module, half } = pattern.exec(name)?.groups ?? {};
    const known = halfNames[half ?? ""];
    if (module !== undefined && known !== undefined) return { module, half: known };
  }
  return undefined;
}

const adapterMetadata = z.record(z.string(), z.unknown());
const alphaPattern = z.record(z.string(), z.number());

/**
 * What diffusers writes of PEFT's configuration into the file's metadata: `unet.lora_alpha`, `unet.alpha_pattern`,
 * `unet.use_rslora`. Without it alpha is the rank, as in diffusers.
 */
function adapterSettings(tensors: SafetensorsFile): (layer: LayerName, module: string, rank: number) => number {
  const text = tensors.metadata.get("lora_adapter_metadata");
  if (text === undefined) return () => 1;
  let config: Record<string, unknown>;
  try {
    config = adapterMetadata.parse(JSON.parse(text));
  } catch (error) {
    throw loraInvalid(tensors.name, "its lora_adapter_metadata cannot be read", error);
  }
  return ({ component }, module, rank) => {
    const patterns = alphaPattern.catch({}).parse(config[`${component}.alpha_pattern`]);
    const own = Object.entries(patterns).find(([pattern]) => module === pattern || module.endsWith(`.${pattern}`))?.[1];
    const alpha = own ?? z.number().catch(rank).parse(config[`${component}.lora_alpha`]);
    return alpha / (config[`${component}.use_rslora`] === true ? Math.sqrt(rank) : rank);
  };
}
