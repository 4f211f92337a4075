import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { expect, it } from "vitest";
import { table } from "./table.ts";

interface Row {
  readonly id: string;
  readonly prompt: string;
}

const rows: readonly Row[] = [
  { id: "0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111", prompt: "a lighthouse at dawn ".repeat(20) },
  { id: "0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a112", prompt: "a fox" },
];
const columns = [
  { title: "JOB", value: ({ id }: Row) => id },
  { title: "TYPE", value: () => "sdxl_image_fast", leavesAt: 3 },
  { title: "STATUS", value: () => "completed" },
  { title: "ATTEMPT", value: () => "1", leavesAt: 1 },
  { title: "AGE", value: () => "3 min", leavesAt: 2 },
  { title: "PROMPT", value: ({ prompt }: Row) => prompt, leavesAt: 4 },
];

/** The lines as a terminal of this width shows them. */
function drawn(width: number): string[] {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: width });
  return stripVTControlCharacters(table(rows, columns, terminal)).split("\n");
}

it.each([
  [200, "JOB TYPE STATUS ATTEMPT AGE PROMPT"],
  [90, "JOB TYPE STATUS AGE PROMPT"],
  [80, "JOB STATUS PROMPT"],
  [50, "JOB STATUS"],
])("fits a terminal of %i columns", (width, titles) => {
  const lines = drawn(width);
  expect(lines[0]?.split(/ +/).join(" ").trim()).toBe(titles);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
  expect(lines[1]).toContain("0d9c1c2e-6f0b-4c43-9c56-2f8a54f3a111  ");
});
