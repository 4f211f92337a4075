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
  const load = (prepare: string) => {
    const script = `${prepare}
      const { Component } = await import(${JSON.stringify(join(import.meta.dirname, "onnx.ts"))});
      await (await Component.load(${JSON.stringify(join(tinySdxl, "text_encoder/model.onnx"))}, { executionProvider: "cpu" })).dispose();`;
    execFileSync(process.execPath, ["--input-type=module", "--eval", script], {
      env: { ...environment, TMPDIR: folder },
      stdio: "pipe",
    });
    return readdirSync(folder);
  };
  expect(load("")).toEqual([]);
  // Who wants it can have it, which also shows that there is something to turn off.
  expect(load('process.env.ORT_DISABLE_TELEMETRY = "0";')).not.toEqual([]);
});
