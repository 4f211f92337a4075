import { z } from "zod";
import { sessionId } from "./chat-sessions.ts";
import { fromDecimal } from "./decimal.ts";
import { expiresAt, expiresInSeconds, timeoutSeconds } from "./expiry.ts";
import {
  type InputField,
  inputAddressProblem,
  inputFieldKey,
  inputHash,
  isDataAddress,
  isInputAddress,
  maxDataCharacters,
} from "./input-address.ts";
import { optional } from "./job.ts";
import { isReference } from "./synonyms.ts";

/** Field schemas shared by the job types. Each has one message that says all that is allowed. */

/** Not `toLocaleString`, which loads the tables of all languages: that is a tenth of a container's start. */
export const shown = (value: number) =>
  value === 2 ** 53 ? "2^53" : String(value).replace(/\B(?<!\..*)(?=(\d{3})+(?!\d))/g, ",");

export function numberFrom(min: number, max: number) {
  const error = `must be a number from ${shown(min)} to ${shown(max)}`;
  return z.preprocess(fromDecimal, z.number(error).min(min, error).max(max, error));
}

/** @param remark follows the rule where a number is refused */
export function wholeNumberFrom(min: number, max: number, remark = "") {
  const error = `must be a whole number from ${shown(min)} to ${shown(max)}${remark}`;
  // 2^53 is a legal seed, and `int()` ends one below it.
  const whole = max > Number.MAX_SAFE_INTEGER ? z.number(error).multipleOf(1, error) : z.number(error).int(error);
  return z.preprocess(fromDecimal, whole.min(min, error).max(max, error));
}

const smallestSize = 64;
const largestSize = 2048;

/** The multiples of `multiple` from 64 to 2048 next to `value`: one when it is out of range or valid, else two. */
export function nearestSizes(value: number, multiple: number): number[] {
  const inRange = Math.min(Math.max(value, smallestSize), largestSize);
  const below = Math.floor(inRange / multiple) * multiple;
  const above = Math.ceil(inRange / multiple) * multiple;
  return below === above ? [below] : [below, above];
}

/** Width or height in pixels. */
export function sizeInMultiplesOf(multiple: number) {
  const allowed = `must be a multiple of ${multiple} from ${smallestSize} to ${largestSize}`;
  const error = (issue: { readonly input?: unknown }) =>
    typeof issue.input === "number"
      ? `${allowed} (nearest: ${nearestSizes(issue.input, multiple).join(" or ")})`
      : allowed;
  return z.preprocess(
    fromDecimal,
    z.number({ error }).multipleOf(multiple, { error }).min(smallestSize, { error }).max(largestSize, { error }),
  );
}

export const namedSizeRule = 'must be "WIDTH*HEIGHT", for example "1024*1024"';

export const maxPromptCharacters = 8000;

/** Counts characters as a reader does (code points): an emoji is one, though JavaScript's `length` says two. */
function fits(text: string, characters: number): boolean {
  if (text.length <= characters) return true;
  return text.length <= 2 * characters && [...text].length <= characters;
}

export const promptRule = "must be 1 to 8,000 characters and not only white space";

interface PromptLimit {
  readonly text: string;
  /** What is beyond it in any case. */
  readonly maxLength: number;
  fits(text: string): boolean;
}

const inCharacters: PromptLimit = {
  text: "8,000 characters",
  maxLength: maxPromptCharacters,
  fits: (text) => fits(text, maxPromptCharacters),
};

const maxPromptBytes = 65_536;

const inBytes: PromptLimit = {
  text: "65,536 bytes of UTF-8",
  maxLength: maxPromptBytes,
  fits: (text) => text.length <= maxPromptBytes && new TextEncoder().encode(text).length <= maxPromptBytes,
};

/** No database keeps the character NUL, and no model reads it. */
export const noNul = { error: "must not contain the character NUL" };
export const hasNoNul = (text: string) => !text.includes("\0");

function emptyOrPrompt(limit: PromptLimit) {
  return z
    .string("must be a text")
    .refine(limit.fits, { error: `must be at most ${limit.text}` })
    .refine(hasNoNul, noNul)
    .meta({ maxLength: limit.maxLength });
}

function prompt(limit: PromptLimit) {
  const error = `must be 1 to ${limit.text} and not only white space`;
  return z.preprocess(
    (value) => value ?? undefined,
    z
      .string(error)
      .refine((text) => /\S/.test(text) && limit.fits(text), { error })
      .refine(hasNoNul, noNul)
      .meta({ minLength: 1, maxLength: limit.maxLength }),
  );
}

/** A prompt that may be empty: a negative prompt, or the prompt of an exact copy. */
export const promptOrEmpty = emptyOrPrompt(inCharacters);

export const promptText = prompt(inCharacters);

/** For models that read so many tokens and leave out the rest of a text, which is reported. */
export const longPromptOrEmpty = emptyOrPrompt(inBytes);

export const longPromptText = prompt(inBytes);

const maxUrlCharacters = 8192;

const address = (field: InputField) =>
  z
    .string("must be a URL")
    .refine((text) => isDataAddress(text) || text.length <= maxUrlCharacters, {
      error: "must be a URL of at most 8,192 characters",
    })
    .refine((text) => !isDataAddress(text) || text.length <= maxDataCharacters, {
      error: "must be at most 512 KB where it is a data: address",
    })
    .refine((text) => !isInputAddress(text) || inputHash(text) !== null, {
      error: "must be input: and the SHA-256 that POST /inputs has answered",
    })
    .superRefine((text, ctx) => {
      const message = inputAddressProblem(text);
      if (message !== null) ctx.addIssue({ code: "custom", input: text, message });
    })
    .meta({ maxLength: maxDataCharacters, [inputFieldKey]: field });

const whereGiven = <Address extends z.ZodType>(schema: Address) =>
  z.preprocess((value) => (isReference(value) ? value : undefined), schema.optional());

const reference = (field: InputField) => whereGiven(address(field));

/** Address of a picture: a URL, `input:<sha256>` of an uploaded file, or a small `data:` address. "" is "not given". */
export const optionalReference = reference("picture");

/** A small picture of one colour. */
const examples = [
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAMAAAAoLQ9TAAAAA1BMVEWAwP+gtx6ZAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADklEQVQYlWNgGAUMSAAAARAAAVGhZwQAAAAASUVORK5CYII=",
];

/** The same where a job cannot do without it, for reasons that only code can check: examples of such jobs have one. */
export const expectedReference = whereGiven(address("picture").meta({ examples }));

/** The same of a video. */
export const optionalVideo = reference("video");

/** The same of a video or a picture. */
export const optionalPictureOrVideo = reference("picture or video");

/** Addresses of up to `max` pictures, in a list; one may stand by itself. */
export function optionalReferences(max: number) {
  const error = `must be a list of at most ${max} URLs`;
  return z.preprocess(
    (value) => {
      const given = (Array.isArray(value) ? value : [value]).filter(isReference);
      return given.length === 0 ? undefined : given;
    },
    z
      .array(address("picture"), error)
      .max(max, error)
      .meta({ [inputFieldKey]: "picture" })
      .optional(),
  );
}

export const optionalFlag = optional(z.boolean("must be true or false"));

export function optionalText(maxCharacters: number) {
  const error = `must be a text of at most ${shown(maxCharacters)} characters`;
  return optional(z.string(error).max(maxCharacters, error).refine(hasNoNul, noNul));
}

/**
 * One of the names, and then as it is written there.
 * @param known finds it for what was given: in any case when absent
 */
export function nameFrom<const Names extends readonly [string, ...string[]]>(
  names: Names,
  known = (given: string): string | undefined => names.find((name) => name.toLowerCase() === given.toLowerCase()),
) {
  return z.preprocess(
    (value) => (typeof value === "string" ? (known(value) ?? value) : (value ?? undefined)),
    z.enum(names, { error: `must be ${listed(names)}` }),
  );
}

/** A colour of eight bits a channel: `#80c0ff`, or one of the three that need no number. */
export const colour = z
  .string('must be a colour such as "#80c0ff", or "white", "black" or "gray"')
  .regex(/^(#[0-9a-f]{6}|white|black|gray)$/i, 'must be a colour such as "#80c0ff", or "white", "black" or "gray"');

export function optionalOneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return optional(z.enum(values, { error: `must be ${listed(values)}` }));
}

/** `"a"`, `"b" or "c"`; numbers without quotes. */
export function listed(values: readonly (string | number)[]): string {
  const texts = values.map((value) => JSON.stringify(value));
  const last = texts.pop() ?? "";
  return texts.length === 0 ? last : `${texts.join(", ")} or ${last}`;
}

/** Kept as given (null included) and sent back in the callback untouched. */
export const passedThrough = z.union([z.string(), z.number(), z.null()], "must be a text, a number or null").optional();

export const steps = wholeNumberFrom(1, 150);
export const guidanceScale = numberFrom(0, 30);
export const largestSeed = 2 ** 53;
/** 0 is a seed; -1, which means "random" elsewhere, is none. */
export const seed = optional(wholeNumberFrom(0, largestSeed, " (leave it out for a random one)"));

/** Whose random numbers a seed stands for: torch's on a CPU, or on a GPU. */
export const noiseKind = optional(z.enum(["cpu", "cuda"], { error: 'must be "cpu" or "cuda"' }));

const outputFormats = ["png", "jpeg", "webp"] as const;
const outputFormat = nameFrom(outputFormats, (given) => {
  const name = given.toLowerCase();
  return outputFormats.find((format) => format === (name === "jpg" ? "jpeg" : name));
});

/** The file that a picture becomes. */
export const pictureFile = {
  output_format: optional(outputFormat),
  /** Of `jpeg` and `webp`; 90 when left out. */
  output_quality: optional(wholeNumberFrom(1, 100)),
};

/** Marks a field of `config` that is no parameter, and is asked for in forms all the same. */
export const inForms = { "x-form": true } as const;

/** Marks a field of the wire that is checked and kept, and that nothing acts on: forms leave it out. */
export const unusedYet = { "x-unused": true } as const;

/** What producers add to `config` for the queue and for the app; the inference does not read it. */
export const deliveryFields = {
  expected_time: optional(numberFrom(0, 86_400)),
  expires_in_seconds: optional(expiresInSeconds),
  expires_at: optional(expiresAt),
  timeout_seconds: optional(timeoutSeconds),
  content_type: optionalOneOf(["image", "video", "text"]),
  file_extension: optional(
    z
      .string("must be a file extension")
      .regex(/^[a-z0-9]{1,8}$/, 'must be a file extension without the dot, such as "png"'),
  ),
};

/** What `config` says about the enhancement of a prompt before a picture or clip is made from it. */
export const enhancementParameters = {
  enhance_prompt: optionalFlag,
  /** Name of a preset of enhancement. */
  preset: optionalText(64),
  /** Seconds for enhancing at most, the waiting for the language model included; then the prompt is used as it is. */
  enhancement_timeout: optional(numberFrom(1, 600)),
};

/** What `metadata` says about the enhancement of a prompt. */
export const enhancementFields = {
  enhancement_type: optionalOneOf(["base", "chat", "instruct_chat"]),
  session_id: optional(sessionId),
  conversation_context: optionalText(100_000),
};
