import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Component } from "./onnx.ts";
import { tensor } from "./tensor.ts";

/**
 * half_out = half (float16 [n, 2]) + ids (int32 [n, 2]); single_out = single (float32 [3]) · step (int64 scalar).
 * Written with onnx.helper, opset 17.
 */
const mixedTypes =
  "CAkSADqAAgoZCgNpZHMSAWkiBENhc3QqCQoCdG8YCqABAgoYCgRoYWxmCgFpEghoYWxmX291dCIDQWRkChoKBHN0ZXASAXMiBENhc3QqCQoCdG8Y" +
  "AaABAgocCgZzaW5nbGUKAXMSCnNpbmdsZV9vdXQiA011bBIBZ1oXCgRoYWxmEg8KDQgKEgkKAxIBbgoCCAJaFgoDaWRzEg8KDQgGEgkKAxIBbgoC" +
  "CAJaFAoGc2luZ2xlEgoKCAgBEgQKAggDWg4KBHN0ZXASBgoECAcSAGIbCghoYWxmX291dBIPCg0IChIJCgMSAW4KAggCYhgKCnNpbmdsZV9vdXQS" +
  "CgoICAESBAoCCANCBAoAEBE=";
/** y = x in float64. */
const doubles = "CAk6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgLEgQKAggBYg8KAXkSCgoICAsSBAoCCAFCBAoAEBE=";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "onnx-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, content: Uint8Array | string): string {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, "model.onnx"), content);
  return join(folder, name, "model.onnx");
}

const load = (path: string) => Component.load(path, { executionProvider: "cpu" });

const feeds = {
  half: tensor(Float32Array.of(0.5, 1.5, 2.5, 65504), [2, 2]),
  ids: { data: Int32Array.of(1, 2, 3, 0), dims: [2, 2] },
  single: tensor(Float32Array.of(1, 2, 3), [3]),
  step: tensor(Float32Array.of(7), []),
};

describe("a component", () => {
  let component: Component;
  beforeAll(async () => {
    component = await load(write("mixed", Buffer.from(mixedTypes, "base64")));
  });
  afterAll(() => component.dispose());

  it("reads the types of its inputs from the file", () => {
    expect(Object.fromEntries(component.inputs)).toEqual({
      half: { type: "float16", shape: ["n", 2] },
      ids: { type: "int32", shape: ["n", 2] },
      single: { type: "float32", shape: [3] },
      step: { type: "int64", shape: [] },
    });
  });

  it("converts to every type and back to float32", async () => {
    const { half_out, single_out } = await component.run(feeds, ["half_out", "single_out"]);
    expect([...half_out.data]).toEqual([1.5, 3.5, 5.5, 65504]);
    expect(half_out.data).toBeInstanceOf(Float32Array);
    expect(half_out.dims).toEqual([2, 2]);
    expect([...single_out.data]).toEqual([7, 14, 21]);
  });

  it("takes prepared inputs, whose float32 memory it shares", async () => {
    const data = Float32Array.of(1, 1, 1);
    const single = component.prepare("single", tensor(data, [3]));
    data.fill(2);
    const { single_out } = await component.run({ ...feeds, single }, ["single_out"]);
    expect([...single_out.data]).toEqual([14, 14, 14]);
  });

  it("hands outputs over as another's inputs, in their type", async () => {
    const fetches = new Map([
      ["half_out", "half"],
      ["single_out", "single"],
    ]);
    const small = { ...feeds, half: tensor(Float32Array.of(0.5, 1.5, 2.5, 3.5), [2, 2]) };
    const handed = await component.runInto(component, small, fetches);
    expect(handed.half?.value.type).toBe("float16");
    const { half_out, single_out } = await component.run({ ...small, ...handed }, ["half_out", "single_out"]);
    expect([...half_out.data]).toEqual([2.5, 5.5, 8.5, 3.5]);
    expect([...single_out.data]).toEqual([49, 98, 147]);
    handed.half?.release();
    handed.single?.release();
    expect(handed.single?.value.data).toHaveLength(0);

    // Another type than the next one's input has: converted.
    const narrow = new Map([["single_out", "step"]]);
    await expect(component.runInto(component, feeds, narrow)).rejects.toMatchObject({ code: "UNSUPPORTED_OPTION" });
  });

  it("counts the time inside ONNX Runtime", async () => {
    const before = component.millisecondsInRun;
    await component.run(feeds, ["single_out"]);
    expect(component.millisecondsInRun).toBeGreaterThan(before);
  });

  it("says which input or output is wrong", async () => {
    const invalid = (message: string) => ({
      code: "MODEL_INVALID",
      permanent: true,
      message: expect.stringContaining(message),
    });
    const { step: _, ...incomplete } = feeds;
    await expect(component.run(incomplete, ["half_out"])).rejects.toMatchObject(invalid("also needs the input step"));
    await expect(component.run({ ...feeds, more: feeds.single }, ["half_out"])).rejects.toMatchObject(
      invalid('no input "more", only half, ids, single, step'),
    );
    // The model is in order: it is the job that requests another size than it was exported for.
    await expect(component.run({ ...feeds, single: feeds.half }, ["half_out"])).rejects.toMatchObject({
      code: "UNSUPPORTED_OPTION",
      permanent: true,
      message: expect.stringContaining('input "single" has shape [3] and cannot take [2, 2]'),
    });
    await expect(component.run(feeds, ["logits"])).rejects.toMatchObject(invalid("no output logits, only half_out"));
  });
});

describe("a file that cannot be loaded", () => {
  it("is missing", async () => {
    await expect(load(join(folder, "nowhere", "model.onnx"))).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      permanent: true,
      message: expect.stringContaining(join("nowhere", "model.onnx")),
    });
  });

  it("is corrupt", async () => {
    await expect(load(write("corrupt", "not a model"))).rejects.toMatchObject({
      code: "MODEL_INVALID",
      permanent: true,
      message: expect.stringMatching(/corrupt\/model\.onnx: ONNX Runtime cannot load the file .*export it again/),
    });
  });

  it("has an input of a type that no pipeline feeds", async () => {
    await expect(load(write("doubles", Buffer.from(doubles, "base64")))).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringContaining('input "x" is float64; it must be one of float32, float16, int64, int32'),
    });
  });
});

it("is refused CUDA where its library is not installed", async () => {
  const path = write("cudaless", Buffer.from(mixedTypes, "base64"));
  await expect(Component.load(path, { executionProvider: "cuda" })).rejects.toMatchObject({
    code: "UNSUPPORTED_OPTION",
    message: expect.stringContaining("CUDA library is not installed"),
  });
});
