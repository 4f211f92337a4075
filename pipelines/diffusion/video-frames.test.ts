import { expect, it } from "vitest";
import { tensor } from "#pipelines/core/tensor.ts";
import { frameOf, framesFrom, setFrame, toRgbFrames } from "./video-frames.ts";

// Three channels, two frames of one row of two pixels.
const video = tensor(Float32Array.of(-1, -1, 1, 1, 0, 0, -1, 1, 1, -1, 0, 0), [1, 3, 2, 1, 2]);

it("takes one frame out of all channels", () => {
  const { data, dims } = frameOf(video, 1);
  expect([...data]).toEqual([1, 1, -1, 1, 0, 0]);
  expect(dims).toEqual([1, 3, 1, 1, 2]);
});

it("makes pictures of all frames, in their order", () => {
  const frames = toRgbFrames(video);
  expect(frames.map(({ data }) => [...data])).toEqual([
    [0, 128, 255, 0, 128, 0],
    [255, 0, 128, 255, 255, 128],
  ]);
  expect(frames[0]).toMatchObject({ width: 2, height: 1 });
});

it("puts a frame in the place of one", () => {
  const copy = tensor(video.data.slice(), video.dims);
  setFrame(copy, 0, frameOf(video, 1));
  expect(frameOf(copy, 0)).toEqual(frameOf(video, 1));
  expect(frameOf(copy, 1)).toEqual(frameOf(video, 1));
});

it("leaves the first frames out of all channels", () => {
  const { data, dims } = framesFrom(video, 1);
  expect([...data]).toEqual([1, 1, -1, 1, 0, 0]);
  expect(dims).toEqual([1, 3, 1, 1, 2]);
});
