import { readdir } from "node:fs/promises";

/** Folders that pipelines look for whether the list of parts names them or not. */
const optionalPart = /^(?:controlnet(?:_[a-z0-9_]+)?|image_encoder|depth_estimator|vae_decoder_tiny)$/;

/**
 * What the folders of a Stable Diffusion XL have to hold by which it draws beside the prompt, as paths in the model's folder;
 * nothing where there are none.
 * @param listed parts that `model_index.json` names, of which files are required already
 */
export async function conditionsPlan(
  folder: string,
  listed: ReadonlySet<string>,
): Promise<{ components: string[]; required: string[]; configs: string[] }> {
  const names = (await readdir(folder)).filter((name) => optionalPart.test(name) && !listed.has(name)).sort();
  const configs = names.flatMap(configsOf);
  return {
    components: names.map(shownPart),
    required: [...configs, ...names.map((name) => `${name}/model.onnx`)],
    configs,
  };
}

function configsOf(name: string): string[] {
  if (name === "depth_estimator") return [`${name}/preprocessor_config.json`];
  const processor = name === "image_encoder" ? ["feature_extractor/preprocessor_config.json"] : [];
  return [`${name}/config.json`, ...processor];
}

/** `controlnet: canny` of `controlnet_canny`. */
export function shownPart(name: string): string {
  return name.replace(/^controlnet_/, "controlnet: ");
}
