import { expect, it } from "vitest";
import { createLogger } from "./log.ts";
import { BoundedOutput } from "./standard-error.ts";

/** A reader that takes so many bytes, and none any more at 0. */
function slowReader() {
  const reader = { room: 0, text: "" };
  const sink = {
    pendingBytes: 0,
    write(bytes: Uint8Array) {
      const taken = Math.min(reader.room, bytes.length);
      reader.room -= taken;
      reader.text += Buffer.from(bytes.subarray(0, taken)).toString();
      return taken;
    },
  };
  return { reader, output: new BoundedOutput(sink) };
}

it("keeps what is not taken, in order and whole, and writes it when there is room", async () => {
  const { reader, output } = slowReader();
  reader.room = 3;
  for (const line of ["first\n", "second\n"]) expect(output.write(line)).toBe(true);
  expect(reader.text).toBe("fir");
  reader.room = 100;
  await expect.poll(() => reader.text).toBe("first\nsecond\n");
  output.write("third\n");
  expect(reader.text).toBe("first\nsecond\nthird\n");
});

it("drops and counts what comes after a megabyte that nobody reads", () => {
  const { reader, output } = slowReader();
  const line = `${"x".repeat(1023)}\n`;
  const kept = Array.from({ length: 3000 }, () => output.write(line)).filter(Boolean).length;
  expect(kept).toBe(1024);
  expect(output.dropped).toBe(1976);
  reader.room = Number.POSITIVE_INFINITY;
  output.flushAtExit();
  expect(reader.text).toHaveLength(1024 * 1024);
});

it("says in the log how many lines are missing", async () => {
  const { reader, output } = slowReader();
  const log = await createLogger({ level: "info", format: "json" }, {}, output);
  for (let index = 0; index < 6000; index++) log.info({ index }, "x".repeat(200));
  const { dropped } = output;
  expect(dropped).toBeGreaterThan(1000);
  reader.room = Number.POSITIVE_INFINITY;
  log.info({}, "one more that is dropped");
  await expect.poll(() => reader.text.length).toBeGreaterThan(1_000_000);
  log.info({}, "the reader is back");
  const last = reader.text.trimEnd().split("\n").slice(-2);
  expect(last.map((line) => JSON.parse(line))).toMatchObject([
    { msg: "the reader is back" },
    { level: "warn", lines: dropped + 1 },
  ]);
});
