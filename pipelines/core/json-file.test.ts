import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { readJson } from "./json-file.ts";

const read = async (text: string) => {
  const folder = mkdtempSync(join(tmpdir(), "json-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "config.json");
  writeFileSync(path, text);
  return await readJson(path, z.record(z.string(), z.unknown()));
};

it("reads Python's infinities and NaN as null, and leaves texts alone", async () => {
  expect(await read('{"a": -Infinity, "b": [NaN, Infinity], "c": "\\"-Infinity\\\\", "NaN": 1}')).toEqual({
    a: null,
    b: [null, null],
    c: '"-Infinity\\',
    NaN: 1,
  });
});

it.each(["", "{", "{'a': 1}", '{"a": Infinit}', "[1]"])("refuses %j with the file's name", async (text) => {
  await expect(read(text)).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringContaining("config.json"),
  });
});
