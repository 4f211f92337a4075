import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { settingRows } from "#pipelines/testing/fidelity.ts";
import { fidelityAreas, fidelityPage } from "../tools/generate/fidelity-table.ts";

test("the page about fidelity lists the settings that the golden tests compare, and their limits", () => {
  const table = readFileSync(fidelityPage, "utf8").split("<!-- fidelity -->")[1]?.split("<!-- end -->")[0] ?? "";
  const settings = table.split("\n").flatMap((line) => {
    const cells = line.split(" | ");
    const [setting, reference, measured, limit] = cells;
    if (cells.length !== 4 || setting === "| setting") return [];
    expect(Number(measured), line).toBeLessThanOrEqual(Number.parseFloat(limit ?? ""));
    return [`${setting} | ${reference} | ${limit}`];
  });
  expect(settings, "run npx node tools/generate/fidelity-table.ts").toEqual(fidelityAreas.flatMap(settingRows));
});
