import { expect, it } from "vitest";
import { Mt19937 } from "./mt19937.ts";

it("gives the 10,000th number that the C++ standard states for the default seed", () => {
  const engine = new Mt19937(5489);
  for (let index = 0; index < 9999; index++) engine.nextUint32();
  expect(engine.nextUint32()).toBe(4123659995);
});

it("uses the low 32 bits of a seed", () => {
  expect(new Mt19937(2 ** 32 + 42).nextUint32()).toBe(new Mt19937(42).nextUint32());
  expect(new Mt19937(2n ** 64n - 1n).nextUint32()).toBe(new Mt19937(2 ** 32 - 1).nextUint32());
  expect(() => new Mt19937(1.5)).toThrow("seed must be an integer, not 1.5");
});
