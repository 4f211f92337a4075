import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Folders that pipelines look for whether the list of parts names them or not. */
const optionalPart = /^(?:controlnet(?:_[a-z0-9_]+)?|image_encoder|depth_estimator|vae_decoder_tiny)$/;

/** A folder that is meant for a ControlNet, whatever its name is. */
const meantForControlNet = /^control[-_ ]?net/i;

/**
 * What the folders of a Stable Diffusion XL have to hold by which it draws beside the prompt, as paths in the model's folder;
 * nothing where there are none.
 * @param listed parts that `model_index.json` names, of which files are required already
 */
export async function conditionsPlan(
  folder: string,
  listed: ReadonlySet<string>,
): Promise<{ components: string[]; required: string[]; configs: string[]; warnings: string[] }> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries
    .map(({ name }) => name)
    .filter((name) => optionalPart.test(name) && !listed.has(name))
    .sort();
  const configs = names.flatMap(configsOf);
  return {
    components: names.map(shownPart),
    required: [...configs, ...names.map((name) => `${name}/model.onnx`)],
    configs,
    warnings: entries
      .filter((entry) => !entry.isFile() && meantForControlNet.test(entry.name) && !optionalPart.test(entry.name))
      .map(({ name }) => name)
      .sort()
      .map(
        (name) =>
          `${join(folder, name)} is not used: rename it to controlnet_<kind> in lower case, with nothing but letters, digits and "_", such as ${suggestedName(name)}`,
      ),
  };
}

/** `controlnet_canny` of `ControlNet-Canny`. */
function suggestedName(name: string): string {
  const kind = name
    .replace(meantForControlNet, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_|_$/g, "");
  return `controlnet_${kind === "" ? "canny" : kind}`;
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
