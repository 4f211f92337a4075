import type { Config } from "#runtime/container/config.ts";
import type { Logger } from "#runtime/observe/log.ts";
import { PresetTable } from "./preset-rows.ts";
import { Presets } from "./presets.ts";

/**
 * The presets of a container, whose table is read from now on.
 * @throws CodedError CONFIG_INVALID that names every preset file that is wrong
 */
export async function connectPresets(
  { presetsFolder, supabase }: Pick<Config, "presetsFolder" | "supabase">,
  log: Logger,
): Promise<Presets> {
  const table = supabase === null ? null : new PresetTable(supabase);
  const presets = await Presets.load({ folder: presetsFolder, table, log });
  presets.start();
  return presets;
}
