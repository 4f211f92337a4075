import { isJsonObject, type JsonObject } from "../synonyms.ts";

/** Texts of a job by what they do to the picture: what is asked for, and what is to be kept out of it. */
export interface JobTexts {
  readonly wanted: readonly string[];
  readonly unwanted: readonly string[];
}

const mostTexts = 500;
const maxDepth = 8;

/**
 * Every text of a job that may reach a model, `config` and `metadata` included. The path of a link counts, its query
 * does not: signatures spell anything.
 *
 * Below a guidance of 1 a model is drawn towards its negative prompt and not away from it, which then is wanted too.
 */
export function textsOf(job: JsonObject): JobTexts {
  const { negative_prompt, config, ...others } = job;
  const { negative_prompt: configNegative, ...settings } = isJsonObject(config) ? config : {};
  const negative = collect([negative_prompt, configNegative]);
  const wanted = collect([others, settings]);
  return isTurnedRound(settings) ? { wanted: [...wanted, ...negative], unwanted: [] } : { wanted, unwanted: negative };
}

function isTurnedRound(config: JsonObject): boolean {
  const guidance = config.guidance_scale ?? config.sample_guide_scale;
  return guidance !== undefined && guidance !== null && Number(guidance) < 1;
}

function collect(roots: readonly unknown[]): string[] {
  const texts: string[] = [];
  const stack: [unknown, number][] = roots.map((root) => [root, 0]);
  for (let entry = stack.pop(); entry && texts.length < mostTexts; entry = stack.pop()) {
    const [value, depth] = entry;
    if (typeof value === "string") texts.push(withoutQuery(value));
    else if (typeof value === "object" && value !== null && depth < maxDepth) {
      for (const child of Object.values(value)) stack.push([child, depth + 1]);
    }
  }
  return texts;
}

function withoutQuery(text: string): string {
  return /^https?:\/\/\S+$/.test(text) ? (text.split(/[?#]/, 1)[0] ?? "") : text;
}
