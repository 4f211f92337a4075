import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";

/** Text encoders that a refiner may have itself; those that it does not have are the model's. */
const encoders = ["text_encoder", "text_encoder_2"];

/**
 * What the folder `refiner/` of a Stable Diffusion XL has to hold, as paths in the model's folder; nothing where there is no
 * such folder.
 */
export async function refinerPlan(
  folder: string,
): Promise<{ components: string[]; required: string[]; configs: string[] }> {
  const isFolder = async (name: string) =>
    stat(join(folder, name)).then(
      (found) => found.isDirectory(),
      () => false,
    );
  // A link to the model itself is refused by the pipeline; no file of it is missing.
  if (!(await isFolder("refiner")) || (await realpath(join(folder, "refiner"))) === (await realpath(folder)))
    return { components: [], required: [], configs: [] };
  const parts = ["refiner/unet"];
  for (const name of encoders) if (await isFolder(`refiner/${name}`)) parts.push(`refiner/${name}`);
  const configs = ["refiner/model_index.json", ...parts.map((part) => `${part}/config.json`)];
  return { components: ["refiner"], required: [...configs, ...parts.map((part) => `${part}/model.onnx`)], configs };
}
