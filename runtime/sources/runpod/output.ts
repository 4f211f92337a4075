import { z } from "zod";
import { type CallbackAsset, callbackAsset } from "#contract/callback.ts";
import type { ErrorReport } from "#contract/errors.ts";
import type { JobResult, ResultFiles } from "../job-source.ts";
import { outputBody } from "./protocol/bodies.ts";

/*
 * A result as it is posted: files by their addresses, else with their content, base64, as far as that fits. What does not fit
 * is refused in words: the platform answers such a post with 400 and then shows a job that has completed with nothing.
 */
export type Built = { readonly body: string } | { readonly refusal: ErrorReport };

export interface BuildOptions {
  readonly maxBytes: number;
  readonly stopPod: boolean;
}

const requested = z.looseObject({ refresh_worker: z.unknown() }).catch({ refresh_worker: undefined });

/** Whether the handler wants this container to be replaced after the job. */
export function wantsRefresh({ metadata }: Pick<JobResult, "metadata">): boolean {
  return Boolean(requested.parse(metadata).refresh_worker);
}

export async function buildOutput(
  result: JobResult,
  files: ResultFiles | undefined,
  { maxBytes, stopPod }: BuildOptions,
): Promise<Built> {
  const built = await outputOf(result, files, maxBytes);
  if ("refusal" in built) return built;
  const body = outputBody(built.output, stopPod);
  const bytes = Buffer.byteLength(body);
  return bytes > maxBytes ? { refusal: tooLarge(`The result has ${grouped(bytes)} bytes`, maxBytes) } : { body };
}

/** The result with its files, whose contents have `maxBytes` at most together. */
export async function outputOf(
  { assets, metadata, text }: JobResult,
  files: ResultFiles | undefined,
  maxBytes: number,
): Promise<{ readonly output: unknown } | { readonly refusal: ErrorReport }> {
  const { refresh_worker, ...shown } = metadata;
  const written: unknown[] = [];
  // Base64 makes four characters of three bytes.
  let leftBytes = Math.floor((maxBytes * 3) / 4);
  for (const asset of assets) {
    const known = callbackAsset.safeParse(asset);
    if (!known.success) {
      written.push(asset);
      continue;
    }
    const file = await writeFile(known.data, files, leftBytes);
    if ("refusal" in file) return file;
    leftBytes -= file.bytes;
    written.push(file.written);
  }
  return { output: { assets: written, ...(text === undefined ? {} : { text }), metadata: shown } };
}

async function writeFile(
  { url: path, thumbnail_url: thumbnail, ...asset }: CallbackAsset,
  files: ResultFiles | undefined,
  leftBytes: number,
): Promise<{ readonly written: unknown; readonly bytes: number } | { readonly refusal: ErrorReport }> {
  const url = (await files?.address(path)) ?? null;
  if (url !== null) {
    const small = typeof thumbnail === "string" ? { thumbnail_url: (await files?.address(thumbnail)) ?? null } : {};
    return { written: { ...asset, path, url, ...small }, bytes: 0 };
  }
  const content = (await files?.read(path, leftBytes)) ?? null;
  if (content === null) return { refusal: { code: "NO_ASSETS", message: `The file ${path} of the result is gone.` } };
  if (content === "too large") {
    const size = asset.size_bytes === undefined ? "" : ` of ${grouped(asset.size_bytes)} bytes`;
    return { refusal: tooLarge(`The result's file ${path}${size} does not fit into an answer`, (leftBytes * 4) / 3) };
  }
  return { written: { ...asset, path, data: Buffer.from(content).toString("base64") }, bytes: content.byteLength };
}

function tooLarge(what: string, maxBytes: number): ErrorReport {
  const message = `${what}, and RunPod takes ${grouped(Math.floor(maxBytes))}: set SUPABASE_URL and SUPABASE_SERVICE_KEY, so that files are stored and their addresses handed over, or ask for less.`;
  return { code: "RESULT_TOO_LARGE", message, permanent: true };
}

function grouped(bytes: number): string {
  return bytes.toLocaleString("en-US");
}
