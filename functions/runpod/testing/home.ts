import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";

/** A data folder for an emulator whose queue is elsewhere. */
export async function openHome() {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-emulator-"));
  const config = readConfig({ DATA_DIR: folder }, () => "emulator");
  const embedded = await openEmbedded(config);
  return {
    config,
    embedded,
    async close() {
      await embedded.close();
      await rm(folder, { recursive: true });
    },
  };
}
