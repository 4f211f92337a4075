import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loraFidelity } from "#pipelines/lora/testing/lora-fidelity.ts";
import { flowFidelity } from "#pipelines/schedulers/testing/flow-fidelity.ts";
import { schedulerFidelity } from "#pipelines/schedulers/testing/scheduler-fidelity.ts";
import { controlFidelity } from "#pipelines/sdxl/testing/control-fidelity.ts";
import { pictureFidelity } from "#pipelines/sdxl/testing/picture-fidelity.ts";
import { refinerFidelity } from "#pipelines/sdxl/testing/refiner-fidelity.ts";
import { weightFidelity } from "#pipelines/sdxl/testing/weight-fidelity.ts";
import { type FidelityArea, fidelityTable } from "#pipelines/testing/fidelity.ts";
import { imageFidelity } from "#pipelines/wan/testing/image-fidelity.ts";
import { vaceFidelity } from "#pipelines/wan/testing/vace-fidelity.ts";

/*
 * Measures how far the pipelines are from the Python references, and writes the table into docs/19-fidelity.md between
 * `<!-- fidelity -->` and `<!-- end -->`.
 *
 *   npx node tools/generate/fidelity-table.ts
 */
export const fidelityPage = fileURLToPath(new URL("../../docs/19-fidelity.md", import.meta.url));

/** In the order of the page. */
export const fidelityAreas: readonly FidelityArea[] = [
  schedulerFidelity,
  flowFidelity,
  weightFidelity,
  pictureFidelity,
  controlFidelity,
  refinerFidelity,
  loraFidelity,
  imageFidelity,
  vaceFidelity,
];

async function measured(): Promise<string> {
  const tables: string[] = [];
  for (const area of fidelityAreas) tables.push(await fidelityTable(area));
  return tables.join("\n");
}

if (import.meta.main) {
  const tables = await measured();
  const page = readFileSync(fidelityPage, "utf8");
  writeFileSync(
    fidelityPage,
    page.replace(/(<!-- fidelity -->\n).*(<!-- end -->)/s, (_all, begin: string, end: string) => begin + tables + end),
  );
}
