import { looseNumber } from "../decimal.ts";
import { isJsonObject, type JsonObject } from "../synonyms.ts";

/** Texts of a job by what they do to the picture: what is asked for, and what is to be kept out of it. */
export interface JobTexts {
  readonly wanted: readonly string[];
  readonly unwanted: readonly string[];
}

/**
 * Every text of a job that may reach a model, `config` and `metadata` included: however many there are, since one that is
 * not looked at is one in which anything can be said. The path of a link counts; its query does not where the field is an
 * address by its name: signatures spell anything.
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
  return looseNumber(config.guidance_scale ?? config.sample_guide_scale) < 1;
}

/** Bounded by the body that it is read from. */
function collect(roots: readonly unknown[]): string[] {
  const texts: string[] = [];
  const stack: [value: unknown, field: string][] = roots.map((root) => [root, ""]);
  for (let entry = stack.pop(); entry; entry = stack.pop()) {
    const [value, field] = entry;
    if (typeof value === "string") {
      if (value !== "") texts.push(addressField.test(field) ? withoutQuery(value) : value);
    } else if (Array.isArray(value)) {
      for (const child of value) stack.push([child, field]);
    } else if (isJsonObject(value)) {
      for (const [name, child] of Object.entries(value)) stack.push([child, name]);
    }
  }
  return texts;
}

const addressField = /url$|^(?:image|first_frame|last_frame)$/i;

function withoutQuery(text: string): string {
  return /^https?:\/\/\S+$/.test(text) ? (text.split(/[?#]/, 1)[0] ?? "") : text;
}
