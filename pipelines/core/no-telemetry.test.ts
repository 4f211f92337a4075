import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { tinySdxl } from "#pipelines/testing/tiny-sdxl.ts";

it("a process that runs models leaves nothing in the folder for temporary files, as ONNX Runtime's telemetry does", () => {
  const folder = mkdtempSync(join(tmpdir(), "telemetry-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { ORT_DISABLE_TELEMETRY: _, ...environment } = process.env;
  const load = (set: Record<string, string>) => {
    const script = `
      const { Component } = await import(${JSON.stringify(join(import.meta.dirname, "onnx.ts"))});
      await (await Component.load(${JSON.stringify(join(tinySdxl, "text_encoder/model.onnx"))}, { executionProvider: "cpu" })).dispose();
      console.log(process.env.ORT_DISABLE_TELEMETRY);`;
    const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
      env: { ...environment, ...set, TMPDIR: folder },
      encoding: "utf8",
    });
    return { variable: printed.trim(), files: readdirSync(folder) };
  };
  expect(load({})).toEqual({ variable: "1", files: [] });
  // Who wants it can have it. Whether it then leaves a file depends on the machine.
  expect(load({ ORT_DISABLE_TELEMETRY: "0" }).variable).toBe("0");
});
