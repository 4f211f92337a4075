import { describe, expect, it } from "vitest";
import type { CommandEngine } from "#pipelines/core/host.ts";
import { type CommandClip, clipArguments } from "./clip-arguments.ts";

const names = [
  ...["task", "ckpt_dir", "size", "frame_num", "sample_steps", "sample_guide_scale", "sample_shift", "base_seed"],
  ...["prompt", "save_file", "image", "first_frame", "last_frame"],
];
const options = { ...Object.fromEntries(names.map((name) => [name, []])), sample_solver: ["unipc", "dpm++"] };
const engine: CommandEngine = { command: ["wan"], options, environment: {}, task: "t2v-1.3B" };
const clip: CommandClip = {
  prompt: "--a lake, 'quiet'",
  width: 480,
  height: 832,
  frames: 81,
  steps: 25,
  guidanceScale: 6.5,
  seed: 7,
  references: {},
};
const of = (more: Partial<CommandClip> = {}, other: Partial<CommandEngine> = {}) =>
  clipArguments({ ...engine, ...other }, { ...clip, ...more }, "/tmp/clip.mp4");

it("writes a job as the classic command line, each value in the argument of its name", () => {
  expect(of({}, { checkpointsFolder: "/models/wan" }).list).toEqual([
    "--task=t2v-1.3B",
    "--ckpt_dir=/models/wan",
    "--size=480*832",
    "--frame_num=81",
    "--sample_steps=25",
    "--sample_guide_scale=6.5",
    "--base_seed=7",
    "--prompt=--a lake, 'quiet'",
    "--save_file=/tmp/clip.mp4",
  ]);
  expect(of({ scheduler: "unipc", flowShift: 3 }).list).toEqual(
    expect.arrayContaining(["--sample_solver=unipc", "--sample_shift=3"]),
  );
});

describe("what the command cannot take", () => {
  it.each([
    ["DPMSolverMultistepScheduler", "dpm++", []],
    ["dpm++", "dpm++", []],
    ["euler", undefined, ["scheduler"]],
  ])("scheduler %s becomes %s", (scheduler, solver, ignored) => {
    expect(of({ scheduler })).toMatchObject({ solver, ignored });
  });

  it("a negative prompt is listed, unless the command has an argument for it", () => {
    expect(of({ negativePrompt: "fog" }).ignored).toEqual(["negative_prompt"]);
    const able = of({ negativePrompt: "fog" }, { options: { ...options, negative_prompt: [] } });
    expect([able.ignored, able.list]).toEqual([[], expect.arrayContaining(["--negative_prompt=fog"])]);
  });

  it("an argument that the job needs and the command lacks is an error", () => {
    const fewer = Object.fromEntries(Object.entries(options).filter(([name]) => name !== "sample_shift"));
    expect(() => of({ flowShift: 3 }, { options: fewer })).toThrow(/has no --sample_shift, which this job needs/);
    expect(of({}, { options: fewer }).ignored).toEqual([]);
  });

  it("a value that is not among its choices is an error that names them", () => {
    const sized = { ...options, size: ["832*480", "1280*720"] };
    expect(() => of({}, { options: sized })).toThrow(/has no --size 480\*832: it takes 832\*480, 1280\*720$/);
  });
});

describe("tasks", () => {
  it("of the kind that the weights are for run as the container's own", () => {
    expect(of({ task: "t2v-14B" }).task).toBe("t2v-1.3B");
    expect(of({ task: "i2v-A14B", references: { single: "/a.png" } }, { task: "i2v-14B" }).task).toBe("i2v-14B");
  });

  it("of another kind are refused", () => {
    expect(() => of({ task: "i2v-14B" })).toThrow(/task "i2v-14B" begins with a picture, and .* runs "t2v-1.3B"/);
  });
});

describe("reference pictures", () => {
  const withTask = (task: string, references: CommandClip["references"]) =>
    of({ references }, { task }).list.filter((each) => /^--(image|first_frame|last_frame)=/.test(each));

  it("become the arguments of the task", () => {
    expect(withTask("i2v-14B", { single: "/a.png" })).toEqual(["--image=/a.png"]);
    expect(withTask("i2v-14B", { start: "/a.png" })).toEqual(["--image=/a.png"]);
    expect(withTask("ti2v-5B", { start: "/a.png" })).toEqual(["--image=/a.png"]);
    expect(withTask("ti2v-5B", {})).toEqual([]);
    expect(withTask("flf2v-14B", { start: "/a.png", end: "/b.png" })).toEqual([
      "--first_frame=/a.png",
      "--last_frame=/b.png",
    ]);
  });

  it.each([
    ["t2v-1.3B", { single: "/a.png" }, /begins with the prompt alone/],
    ["i2v-14B", {}, /needs one picture/],
    ["i2v-14B", { start: "/a.png", end: "/b.png" }, /needs one picture/],
    ["flf2v-14B", { start: "/a.png" }, /needs a first and a last frame/],
  ])("%s refuses %j", (task, references, problem) => {
    expect(() => withTask(task, references)).toThrow(problem);
  });
});
