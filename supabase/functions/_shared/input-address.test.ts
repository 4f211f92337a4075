import { describe, expect, it } from "vitest";
import {
  inputAddress,
  inputAddressProblem,
  inputHash,
  isDataAddress,
  isInputAddress,
  maxDataBytes,
  readDataAddress,
} from "./input-address.ts";

const hash = "ab".repeat(32);

describe("input addresses", () => {
  it("name a file by its content", () => {
    expect(inputHash(inputAddress(hash))).toBe(hash);
    for (const wrong of [
      "input:",
      `input:${hash}0`,
      `input:${hash.toUpperCase()}`,
      `xinput:${hash}`,
      `input:${hash}\n`,
    ])
      expect(inputHash(wrong)).toBeNull();
    expect([isInputAddress("INPUT:x"), isInputAddress("inputs")]).toEqual([true, false]);
  });
});

it.each([
  ["https://files.example:8443/a.png?token=x", null],
  ["http://10.0.0.7/a.png", null],
  [`input:${hash}`, null],
  ["data:image/png;base64,APr7", null],
  ["@/etc/passwd", "POST /inputs"],
  ["file:///etc/passwd", "POST /inputs"],
  ["ftp://files.example/a.png", "POST /inputs"],
  ["blob:https://a.example/7f", "POST /inputs"],
  ["ann/lake.png", "POST /inputs"],
  ["https://ann@files.example/a.png", "without a user name"],
])("%s is an address that a job may name: %s", (address, problem) => {
  const expected: unknown = problem === null ? null : expect.stringContaining(problem);
  expect(inputAddressProblem(address)).toEqual(expected);
});

describe("data addresses", () => {
  it("are read whatever they say of their type, in the forms that producers write", () => {
    const bytes = Uint8Array.from([0, 250, 251, 252, 253, 254, 255]);
    for (const text of ["APr7/P3+/w==", "APr7_P3-_w", "APr7%2FP3%2B%2Fw%3D%3D", "APr7/P\n3+/w=="])
      expect(readDataAddress(`data:image/png;base64,${text}`)).toEqual(bytes);
    expect(readDataAddress(`DATA:;charset=utf-8;base64,APr7/P3+/w==`)).toEqual(bytes);
    expect(isDataAddress("data:,")).toBe(true);
  });

  it.each([
    ["data:image/png;base64", "no comma"],
    ["data:text/plain,hello", "not in base64"],
    ["data:image/png;base64,a b!", "not base64"],
    ["data:image/png;base64,%", "not base64"],
  ])("is refused: %s", (address, why) => {
    expect(() => readDataAddress(address)).toThrow(why);
  });

  it("are bounded", () => {
    const of = (size: number) => `data:;base64,${Buffer.alloc(size).toString("base64")}`;
    expect(readDataAddress(of(maxDataBytes)).byteLength).toBe(maxDataBytes);
    for (const size of [maxDataBytes + 1, 4 * maxDataBytes]) expect(() => readDataAddress(of(size))).toThrow("512 KB");
  });
});
