/** A kind of model that pipelines here run. */
export interface ModelKind {
  /** The class in `model_index.json`. */
  readonly className: string;
  /** Whose job types it serves; null when no pipeline here runs it. */
  readonly worker: string | null;
  /** What a run needs beside the weights at the largest usual size, in bytes: a first guess. */
  readonly workspaceBytes: number;
}

const gigabytes = 1_000_000_000;

/** By what the pipelines accept. */
const kinds = [
  { pattern: /StableDiffusionXL/, worker: "sdxl", workspaceBytes: 3 * gigabytes },
  { pattern: /^WanPipeline$/, worker: "wan", workspaceBytes: 6 * gigabytes },
] as const;

/** In words, for messages. */
export const runnableKinds = "Stable Diffusion XL and WAN";

/** @param className `_class_name` of `model_index.json` */
export function modelKind(className: string): ModelKind {
  const kind = kinds.find(({ pattern }) => pattern.test(className));
  return { className, worker: kind?.worker ?? null, workspaceBytes: kind?.workspaceBytes ?? 0 };
}
