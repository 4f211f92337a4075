/*
 * The names of a model's layers, as its graph and as the writers of LoRA files have them. All are brought into one form:
 * diffusers' own with underscores for dots (`down_blocks_1_attentions_0_proj_in`), since kohya's files have no dots and
 * an underscore cannot be told from one.
 */

/** The models of an SDXL pipeline that a LoRA may change. */
export const loraComponents = ["unet", "text_encoder", "text_encoder_2"] as const;
export type LoraComponent = (typeof loraComponents)[number];

export interface LayerName {
  readonly component: LoraComponent;
  /** In the common form; of a UNet perhaps with the names of the original implementation (`input_blocks_4_1_…`). */
  readonly layer: string;
}

const kohyaPrefixes: readonly (readonly [string, LoraComponent])[] = [
  ["lora_unet_", "unet"],
  ["lora_te1_", "text_encoder"],
  ["lora_te2_", "text_encoder_2"],
  ["lora_te_", "text_encoder"],
];

/** The layer that a file's module name means. */
export function layerOfModule(module: string): LayerName {
  const kohya = kohyaPrefixes.find(([prefix]) => module.startsWith(prefix));
  if (kohya !== undefined) return { component: kohya[1], layer: commonForm(module.slice(kohya[0].length)) };
  const path = module.replace(/^base_model\.model\./, "").replace(/^diffusion_model\./, "unet.");
  const [first = ""] = path.split(".", 1);
  const component = loraComponents.find((name) => name === first);
  return component === undefined
    ? { component: "unet", layer: commonForm(path) }
    : { component, layer: commonForm(path.slice(component.length + 1)) };
}

/** The layer that a graph's node belongs to: `/model/down_blocks.0/…/to_q/MatMul`. */
export function layerOfNode(nodeName: string): string {
  const path = nodeName.replace(/^\//, "").replace(/^(unet|text_encoder|model)\//, "");
  return commonForm(path.slice(0, Math.max(path.lastIndexOf("/"), 0)));
}

function commonForm(path: string): string {
  return path
    .replaceAll(".processor.to_out_lora", ".to_out.0")
    .replace(/\.processor\.(to_[a-z]+)_lora/g, ".$1")
    .replace(/[./]/g, "_")
    .replace(/^text_model_/, "");
}

const resnetParts: Readonly<Record<string, string>> = {
  conv1: "in_layers_2",
  conv2: "out_layers_3",
  time_emb_proj: "emb_layers_1",
  conv_shortcut: "skip_connection",
};

const outerParts: Readonly<Record<string, string>> = {
  conv_in: "input_blocks_0_0",
  conv_out: "out_2",
  time_embedding_linear_1: "time_embed_0",
  time_embedding_linear_2: "time_embed_2",
  add_embedding_linear_1: "label_emb_0_0",
  add_embedding_linear_2: "label_emb_0_2",
};

/**
 * The names that the original implementation of Stable Diffusion XL has for a UNet's layers, which counts blocks through
 * instead of nesting them.
 * @param layers in the common form
 * @returns original name → common form
 */
export function originalUnetNames(layers: Iterable<string>): Map<string, string> {
  const all = [...layers];
  const perBlock =
    1 + Math.max(0, ...all.map((layer) => Number(/^down_blocks_\d+_resnets_(\d+)_/.exec(layer)?.[1] ?? 0)));
  const withAttention = new Set(all.flatMap((layer) => /^(up_blocks_\d+)_attentions_/.exec(layer)?.[1] ?? []));
  const names = new Map<string, string>();
  for (const layer of all) {
    const original = outerParts[layer] ?? originalName(layer, perBlock, withAttention);
    if (original !== undefined) names.set(original, layer);
  }
  return names;
}

function originalName(layer: string, perBlock: number, withAttention: ReadonlySet<string>): string | undefined {
  const [, block = "", part, index, rest = ""] =
    /^((?:down|up)_blocks_\d+|mid_block)_(resnets|attentions|downsamplers|upsamplers)_(\d+)_(.+)$/.exec(layer) ?? [];
  if (part === undefined) return undefined;
  const inner = part === "resnets" ? (resnetParts[rest] ?? rest) : rest;
  const place = Number(index);
  if (block === "mid_block") return `middle_block_${part === "attentions" ? 1 : 2 * place}_${inner}`;
  const at = Number(block.slice(block.lastIndexOf("_") + 1));
  if (block.startsWith("down")) {
    if (part === "downsamplers") return `input_blocks_${(at + 1) * (perBlock + 1)}_0_op`;
    return `input_blocks_${1 + at * (perBlock + 1) + place}_${part === "attentions" ? 1 : 0}_${inner}`;
  }
  if (part === "upsamplers") {
    return `output_blocks_${at * (perBlock + 1) + perBlock}_${withAttention.has(block) ? 2 : 1}_${inner}`;
  }
  return `output_blocks_${at * (perBlock + 1) + place}_${part === "attentions" ? 1 : 0}_${inner}`;
}
