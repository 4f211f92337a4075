import { expect, it } from "vitest";
import { readHelp } from "./read-help.ts";

/** As the original command line prints it. */
const help = `usage: generate.py [-h] [--task {t2v-14B,t2v-1.3B,i2v-14B}]
                   [--size {720*1280,480*832}] [--frame_num FRAME_NUM] [--offload_model OFFLOAD_MODEL]
                   [--t5_cpu]

Generate a image or video from a text prompt or image using Wan

options:
  -h, --help            show this help message and exit
  --task {t2v-14B,t2v-1.3B,i2v-14B}
                        The task to run.
  --size {720*1280,480*832}
                        The area (width*height) of the generated video; see --frame_num.
  --sample_solver {unipc,dpm++}
`;

it("lists the arguments, each with its choices where there are some", () => {
  expect(readHelp(help)).toEqual({
    help: [],
    task: ["t2v-14B", "t2v-1.3B", "i2v-14B"],
    size: ["720*1280", "480*832"],
    frame_num: [],
    offload_model: [],
    t5_cpu: [],
    sample_solver: ["unipc", "dpm++"],
  });
});

it("finds none in a text without arguments", () => {
  expect(readHelp("a--b ---- -- x")).toEqual({});
});
