/** A kind of model that pipelines here run. */
export interface ModelKind {
  /** The class in `model_index.json`, or in `config.json` of a language model. */
  readonly className: string;
  /** Whose job types it serves; null when no pipeline here runs it. */
  readonly worker: string | null;
  /** What a run needs beside the weights at the largest usual size, in bytes: a first guess. */
  readonly workspaceBytes: number;
  /** Whether its ONNX files are the same model in several precisions, of which one is loaded. */
  readonly loadsOne: boolean;
}

const gigabytes = 1_000_000_000;

/** By what the pipelines accept. */
const kinds = [
  { pattern: /StableDiffusionXL/, worker: "sdxl", workspaceBytes: 3 * gigabytes, loadsOne: false },
  { pattern: /^Wan(?:ImageToVideo|VACE)?Pipeline$/, worker: "wan", workspaceBytes: 6 * gigabytes, loadsOne: false },
  { pattern: /(?:ForCausalLM|LMHeadModel)$/, worker: "chat", workspaceBytes: gigabytes, loadsOne: true },
] as const;

/** In words, for messages. */
export const runnableKinds =
  "Stable Diffusion XL and WAN, as folders of diffusers, and causal language models, as folders of transformers";

/** @param className what the model says it is */
export function modelKind(className: string): ModelKind {
  const kind = kinds.find(({ pattern }) => pattern.test(className));
  const { worker = null, workspaceBytes = 0, loadsOne = false } = kind ?? {};
  return { className, worker, workspaceBytes, loadsOne };
}
