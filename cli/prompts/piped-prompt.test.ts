import { expect, test } from "vitest";
import { pipedText } from "./piped-prompt.ts";

async function* pipe(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

const bytes = (text: string) => new TextEncoder().encode(text);

test("what is piped in is one text, whatever its pieces", async () => {
  const fox = bytes("\n a füchs \n in the snow\r\n");
  expect(await pipedText(pipe(fox.subarray(0, 6), fox.subarray(6)))).toBe("a füchs \n in the snow");
  expect(await pipedText(pipe(bytes("a".repeat(1_000_000))))).toHaveLength(1_000_000);
});

test.each([
  ["nothing", pipe(), "Standard input is empty"],
  ["white space", pipe(bytes(" \n")), "Standard input is empty"],
  ["Latin-1", pipe(Uint8Array.of(0x66, 0xfc, 0x72)), "Standard input is not UTF-8"],
  ["too much", pipe(bytes("a".repeat(1_000_000)), bytes("a")), "Standard input has more than 1,000,000 bytes"],
])("%s is refused", async (_what, input, problem) => {
  await expect(pipedText(input)).rejects.toMatchObject({
    code: "INVALID_REQUEST",
    message: expect.stringContaining(problem),
  });
});

test("what never ends is read no further than the limit", async () => {
  let read = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; ; read++) yield bytes("a".repeat(100_000));
  }
  await expect(pipedText(endless())).rejects.toThrow("more than 1,000,000 bytes");
  expect(read).toBe(10);
});
