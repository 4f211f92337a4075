import { expect, it } from "vitest";
import type { InputPlace } from "#contract/input-fields.ts";
import { asTyped, withFileNames, withInputs } from "./local-inputs.ts";

const places: readonly InputPlace[] = [
  { path: ["config", "image_refs"], takes: "picture" },
  { path: ["config", "video_guide"], takes: "video" },
  { path: ["config", "loras"], takes: "weights" },
];

it.each([
  [["video_guide=@a.mp4"], { video_guide: "@a.mp4" }],
  [["image_refs=@a.png"], { image_refs: "@a.png" }],
  [
    ["image_refs=@a.png", "video_guide=@a.mp4", "image_refs=@b.png"],
    { image_refs: ["@a.png", "@b.png"], video_guide: "@a.mp4" },
  ],
  [["loras=@a.safetensors"], { loras: ["x", "@a.safetensors"] }],
])("makes of --input %j the config %j", (inputs, config) => {
  const given = "loras" in config ? { config: { loras: ["x"] } } : { config: {} };
  expect(withInputs(given, inputs, places)).toEqual({ config });
});

it("puts a file in the place of what the job has", () => {
  const job = { config: { image_refs: ["https://a.example/1.png"] } };
  expect(withInputs(job, ["image_refs=@a.png"], places)).toEqual({ config: { image_refs: "@a.png" } });
});

it.each([
  ["The file http://127.0.0.1:4711/0/page.html is refused.", "The file @f/page.html is refused."],
  ["The file http://127.0.0.1:4711/0/pag… is refused.", "The file @f/page.html is refused."],
  ['config.image is "http://127.0.0.1:4711/1/a.png"', 'config.image is "@a.png"'],
  [`config.image is "input:${"0".repeat(64)}"`, 'config.image is "@b.png"'],
  ["The file http://127.0.0.1:4712/0/page.html is refused.", "The file http://127.0.0.1:4712/0/page.html is refused."],
])("names files as they were typed: %s", (text, expected) => {
  const addresses = new Map([
    ["@f/page.html", "http://127.0.0.1:4711/0/page.html"],
    ["@a.png", "http://127.0.0.1:4711/1/a.png"],
    ["@b.png", `input:${"0".repeat(64)}`],
  ]);
  expect(withFileNames(text, addresses)).toBe(expected);
});

it("names a picture that is an option by its path, as it was typed there", () => {
  const names = asTyped(new Map([["@a.png", "http://127.0.0.1:4711/0/a.png"]]), { reference: "a.png" });
  expect(withFileNames("The file http://127.0.0.1:4711/0/a.png is refused.", names)).toBe("The file a.png is refused.");
  expect([...asTyped(new Map([["@a.png", ""]]), { reference: "@a.png" }).keys()]).toEqual(["@a.png"]);
});
