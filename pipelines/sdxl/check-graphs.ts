import { join } from "node:path";
import { modelInvalid } from "#pipelines/core/errors.ts";
import { type GraphPorts, readGraphPorts } from "#pipelines/core/graph-ports.ts";
import {
  type ConditionParts,
  controlNetFile,
  depthEstimatorFile,
  imageEncoderFile,
  tinyDecoderFile,
} from "./condition-parts.ts";
import type { Expert } from "./expert.ts";
import { midInput, residualNames } from "./residual-names.ts";

/*
 * Graphs against the configs beside them, and against each other: what is wrong with a part that only some jobs use would
 * else be found by the first of these jobs.
 */

interface Checked extends ConditionParts {
  readonly path: string;
  readonly base: Expert;
  readonly refiner: Expert | undefined;
  readonly latentChannels: number;
  readonly tinyDecoder: object | undefined;
}

/** A graph with where it lies. */
interface Graph extends GraphPorts {
  readonly path: string;
}

const promptInputs = ["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"];

/**
 * Compares the inputs and outputs of a model's graphs, by their headers alone. What is missing or damaged is left to the loading.
 * @throws PipelineError MODEL_INVALID naming the file, and what is not there or does not fit
 */
export async function checkGraphs(model: Checked): Promise<void> {
  const read = (file: string) => readGraph(join(model.path, file));
  const unet = await checkUnet(model.path, model.base);
  if (model.refiner !== undefined) await checkUnet(model.path, model.refiner);
  for (const name of model.controlNets) checkControlNet(await read(controlNetFile(name)), unet, model.latentChannels);
  if (model.imageProcessor !== undefined) {
    const { crop_size: size } = model.imageProcessor;
    checkImageEncoder(await read(imageEncoderFile), unet, size);
  }
  if (model.tinyDecoder !== undefined) checkTinyDecoder(await read(tinyDecoderFile), model.latentChannels);
  if (model.depthProcessor !== undefined) {
    const estimator = await read(depthEstimatorFile);
    if (estimator !== undefined) needPorts(estimator, ["pixel_values"], ["predicted_depth"], "a depth estimator");
  }
}

async function readGraph(path: string): Promise<Graph | undefined> {
  const ports = await readGraphPorts(path);
  return ports && { ...ports, path };
}

async function checkUnet(folder: string, { unet, guidanceWidth, inputChannels }: Expert): Promise<Graph | undefined> {
  const graph = await readGraph(join(folder, unet, "model.onnx"));
  if (graph === undefined) return undefined;
  needPorts(graph, promptInputs, ["out_sample"], "a UNet of Stable Diffusion XL");
  checkSize(graph, "inputs", "sample", 1, inputChannels, "in_channels of its config.json");
  const embedding = "timestep_cond";
  const hasEmbedding = graph.inputs.has(embedding);
  if (hasEmbedding && guidanceWidth === undefined) {
    throw modelInvalid(
      join(folder, unet, "config.json"),
      `model.onnx has the input ${embedding}, but time_cond_proj_dim is not set: set it to that input's width, or export the UNet again`,
    );
  }
  if (guidanceWidth === undefined) return graph;
  if (!hasEmbedding) {
    throw modelInvalid(
      join(folder, unet, "config.json"),
      `time_cond_proj_dim is ${guidanceWidth}, but model.onnx has no input ${embedding}: set it to null, or export the UNet again`,
    );
  }
  checkSize(graph, "inputs", embedding, -1, guidanceWidth, "time_cond_proj_dim of its config.json");
  return graph;
}

function checkControlNet(net: Graph | undefined, unet: Graph | undefined, latentChannels: number): void {
  if (net === undefined) return;
  needPorts(net, [...promptInputs, "controlnet_cond", "conditioning_scale"], ["mid_block_res_sample"], "a ControlNet");
  checkSize(net, "inputs", "sample", 1, latentChannels, "the VAE's latent_channels");
  if (unet === undefined) return;
  const names = residualNames(unet.inputs.keys());
  if (!names.has(midInput)) {
    throw modelInvalid(unet.path, "it was exported without inputs for a ControlNet: export it again with --controlnet");
  }
  needPorts(net, [], [...names.values()], "a ControlNet for this UNet");
  checkSize(net, "inputs", "conditioning_scale", 0, names.size, "the number of the UNet's inputs for it");
  for (const [name, output] of names) {
    const channels = unet.inputs.get(name)?.[1];
    if (channels) checkSize(net, "outputs", output, 1, channels, `what the UNet's ${name} takes`);
  }
}

function checkImageEncoder(encoder: Graph | undefined, unet: Graph | undefined, size: number): void {
  if (unet !== undefined) needPorts(unet, ["image_embeds", "ip_adapter_scale"], [], "a UNet with an IP-Adapter");
  if (encoder === undefined) return;
  needPorts(encoder, ["pixel_values"], [], "an image encoder");
  for (const axis of [2, 3]) checkSize(encoder, "inputs", "pixel_values", axis, size, "what feature_extractor/ makes");
  const output = encoder.outputs.has("image_embeds")
    ? "image_embeds"
    : [...encoder.outputs.keys()].find((name) => name.startsWith("hidden_states."));
  if (output === undefined) {
    throw modelInvalid(
      encoder.path,
      "it puts out neither image_embeds nor hidden_states.…: export it again with --image-encoder",
    );
  }
  const [made, taken] = [encoder.outputs.get(output), unet?.inputs.get("image_embeds")];
  if (made === undefined || taken === undefined) return;
  // The UNet takes several pictures.
  if (made.length + 1 !== taken.length) {
    throw modelInvalid(
      encoder.path,
      `the UNet's IP-Adapter reads something else than its output ${output}: export both with the same adapter`,
    );
  }
  const width = taken.at(-1);
  if (width) checkSize(encoder, "outputs", output, -1, width, "what the UNet's IP-Adapter takes");
}

/** Its names may be any. */
function checkTinyDecoder(decoder: Graph | undefined, latentChannels: number): void {
  if (decoder === undefined) return;
  const [input = ""] = decoder.inputs.keys();
  const [output = ""] = decoder.outputs.keys();
  checkSize(decoder, "inputs", input, 1, latentChannels, "the VAE's latent_channels");
  checkSize(decoder, "outputs", output, 1, 3, "the number of a picture's channels");
}

function needPorts(graph: Graph, inputs: readonly string[], outputs: readonly string[], what: string): void {
  const missing = [
    ...inputs.filter((name) => !graph.inputs.has(name)).map((name) => `input ${name}`),
    ...outputs.filter((name) => !graph.outputs.has(name)).map((name) => `output ${name}`),
  ];
  if (missing.length === 0) return;
  throw modelInvalid(graph.path, `it is not ${what}: there is no ${missing.join(", no ")}. Export it again`);
}

/** Free sizes fit. */
function checkSize(
  graph: Graph,
  side: "inputs" | "outputs",
  name: string,
  axis: number,
  expected: number,
  whose: string,
): void {
  const actual = graph[side].get(name)?.at(axis);
  if (actual === undefined || actual === null || actual === expected) return;
  const port = side === "inputs" ? "input" : "output";
  throw modelInvalid(
    graph.path,
    `its ${port} ${name} has the size ${actual}, but ${whose} is ${expected}: export it again`,
  );
}
