import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { readJson } from "#pipelines/core/json-file.ts";
import { Component, type Feed } from "#pipelines/core/onnx.ts";
import type { IntTensor, Tensor } from "#pipelines/core/tensor.ts";
import { printTable } from "./support/table.ts";

/*
 * Time and memory of one part of a WAN folder at a size, with random inputs: what a card or a machine has to have.
 *   npx node bench/wan-parts.ts <folder> --part text|transformer|encode|decode [--width 832 --height 480 --frames 81 --chunks 3]
 * One part a process, so that the peak is that part's own: loading, and the largest of its runs. The transformer runs the
 * two passes of one guided step. The VAE's halves run `chunks` latent frames; their memory is the same from the third on.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    part: { type: "string", default: "transformer" },
    width: { type: "string", default: "832" },
    height: { type: "string", default: "480" },
    frames: { type: "string", default: "81" },
    chunks: { type: "string", default: "3" },
    threads: { type: "string" },
  },
});
const [folder = "models/wan"] = positionals;
const count = z.coerce.number().int().positive();
const { width, height, frames, chunks } = z
  .object({ width: count, height: count, frames: count, chunks: count })
  .parse(values);

const config = z.object({
  patch_size: z.tuple([z.int(), z.int(), z.int()]),
  attention_head_dim: z.int(),
  in_channels: z.int(),
  text_dim: z.int(),
});
const vaeConfig = z.object({ z_dim: z.int(), scale_factor_spatial: z.int(), scale_factor_temporal: z.int() });
const maxTokens = 512;
const rows: string[][] = [];

async function configOf<Shape extends z.ZodType>(name: string, shape: Shape): Promise<z.output<Shape>> {
  const path = join(folder, name, "config.json");
  const found = await readJson(path, shape);
  if (found === undefined) throw new Error(`there is no ${path}`);
  return found;
}

/** Values in −1…1, in whose place any others would take as long. */
function noise(...dims: number[]): Tensor {
  const data = new Float32Array(dims.reduce((product, size) => product * size, 1));
  for (let index = 0; index < data.length; index++) data[index] = Math.sin(index * 12.9898);
  return { data, dims };
}

function ids(value: (index: number) => number): IntTensor {
  return { data: Int32Array.from({ length: maxTokens }, (_, index) => value(index)), dims: [1, maxTokens] };
}

async function timed<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  const start = performance.now();
  const before = process.resourceUsage();
  const result = await work();
  const after = process.resourceUsage();
  const cpu = after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime;
  const row = [
    ((performance.now() - start) / 1000).toFixed(1),
    (cpu / 1e6).toFixed(1),
    (after.maxRSS / 1024).toFixed(0),
  ];
  rows.push([name, ...row]);
  // A pass may take many minutes: each is shown when it ends, and all of them in the table.
  console.error(name, ...row);
  return result;
}

function load(...path: string[]): Promise<Component> {
  const threads = values.threads === undefined ? {} : { intraOpThreads: Number(values.threads) };
  return timed(`load ${path.join("/")}`, () => Component.load(join(folder, ...path), threads));
}

async function runText(): Promise<void> {
  const encoder = await load("text_encoder", "model.onnx");
  const feeds = { input_ids: ids((index) => index % 500), attention_mask: ids(() => 1) };
  await timed(`${maxTokens} tokens`, () => encoder.run(feeds, ["last_hidden_state"]));
}

async function runTransformer(): Promise<void> {
  const vae = await configOf("vae_decoder", vaeConfig);
  const {
    patch_size: patch,
    attention_head_dim: headDim,
    in_channels: channels,
    text_dim: textDim,
  } = await configOf("transformer", config);
  const latents = [
    (frames - 1) / vae.scale_factor_temporal + 1,
    height / vae.scale_factor_spatial,
    width / vae.scale_factor_spatial,
  ];
  const tokens = latents.reduce((product, size, axis) => (product * size) / (patch[axis] ?? 1), 1);
  const transformer = await load("transformer", "model.onnx");
  const feeds: Record<string, Feed> = {
    hidden_states: noise(1, channels, ...latents),
    timestep: { data: Float32Array.of(999), dims: [1] },
    encoder_hidden_states: noise(1, maxTokens, textDim),
    rotary_cos: noise(1, tokens, 1, headDim),
    rotary_sin: noise(1, tokens, 1, headDim),
  };
  for (const pass of ["with the prompt", "without"]) {
    await timed(`${tokens} tokens, ${pass}`, () => transformer.run(feeds, ["out_sample"]));
  }
}

async function runEncoder(): Promise<void> {
  const { scale_factor_temporal: frameCount } = await configOf("vae_encoder", vaeConfig);
  await runHalf("vae_encoder", "sample", noise(1, 3, 1, height, width), noise(1, 3, frameCount, height, width));
}

async function runDecoder(): Promise<void> {
  const vae = await configOf("vae_decoder", vaeConfig);
  const latent = noise(1, vae.z_dim, 1, height / vae.scale_factor_spatial, width / vae.scale_factor_spatial);
  await runHalf("vae_decoder", "latent_sample", latent, latent);
}

/** One half of the VAE over its chunks, each with the caches of the one before. */
async function runHalf(half: string, input: string, firstChunk: Tensor, nextChunk: Tensor): Promise<void> {
  const first = await load(half, "first.onnx");
  let results = await timed("first latent frame", () => first.run({ [input]: firstChunk }, first.outputs));
  await first.dispose();
  const following = await load(half, "next.onnx");
  for (let chunk = 1; chunk < chunks; chunk++) {
    const caches = cachesOf(results).map(([name, value]) => [name.replace("cache_out", "cache"), value]);
    const feeds = { [input]: nextChunk, ...Object.fromEntries(caches) };
    results = await timed(`latent frame ${chunk + 1}`, () => following.run(feeds, following.outputs));
  }
  const bytes = cachesOf(results).reduce((sum, [, { data }]) => sum + data.byteLength, 0);
  rows.push(["caches", "", "", (bytes / 2 ** 20).toFixed(0)]);
}

function cachesOf(results: Readonly<Record<string, Tensor>>): [string, Tensor][] {
  return Object.entries(results).filter(([name]) => name.startsWith("cache_out."));
}

const parts = { text: runText, transformer: runTransformer, encode: runEncoder, decode: runDecoder };
const part = z.enum(["text", "transformer", "encode", "decode"]).parse(values.part);
await parts[part]();
printTable([[`${part}, ${width}×${height}×${frames}`, "seconds", "CPU seconds", "peak MB"], ...rows]);
