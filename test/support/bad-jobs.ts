/*
 * Jobs that must be refused wherever they come in: what is beside the type and the prompt, the field that is named, and how
 * its message begins. They are JSON texts, as not every number survives being parsed.
 */
const beginsWith = "must be given together with metadata.reference_image_url";
const notUsed = (what: string) => `must be left out: jobs of this type do nothing with ${what}`;
const seedRule = "must be a whole number from 0 to 2^53 (leave it out for a random one)";
const stepRule = "must be a whole number from 1 to 150 (given as config.steps)";

export const badJobs: readonly (readonly [json: string, field: string, message: string])[] = [
  ['{"config":{"clip_skip":"two"}}', "config.clip_skip", "must be a whole number from 0 to 12"],
  ['{"config":{"guidance_rescale":7}}', "config.guidance_rescale", "must be a number from 0 to 1"],
  ['{"config":{"scheduler":"nearest"}}', "config.scheduler", 'must be "euler"'],
  ['{"config":{"scheduler":{"toString":1}}}', "config.scheduler", 'must be "euler"'],
  ['{"metadata":{"session_id":{"length":{"toString":1}}}}', "metadata.session_id", "must be"],
  ['{"config":{"pipeline":"img2img"}}', "metadata.reference_image_url", "must be given, since config.pipeline"],
  ['{"config":{"mask_image_url":"https://files.example/mask.png"}}', "config.mask_image_url", beginsWith],
  [
    '{"metadata":{"reference_image_url":"file:///etc/passwd"}}',
    "metadata.reference_image_url",
    "must be a public https address, or upload the file",
  ],
  ['{"config":{"mask":"ann/mask.png"}}', "config.mask", "must be left out: give a mask as config.mask_image_url"],
  ['{"config":{"init_image":"ann/a.png"}}', "config.init_image", "must be left out: give a picture to begin with as"],
  ['{"config":{"lora":"ann/style.safetensors"}}', "config.lora", notUsed("a LoRA")],
  ['{"config":{"loras":[{"name":"style","scale":80}]}}', "config.loras", "must be a list of files, each"],
  [
    '{"config":{"controlnet":{"image":"ann/edges.png"}}}',
    "config.controlnet",
    "must be left out: give a control picture as",
  ],
  ['{"config":{"width":512,"size":"768*768"}}', "config.size", "does not agree with config.width, which is 512"],
  ['{"model_variant":"../x"}', "model_variant", "must be the name of a model folder"],
  [
    '{"config":{"reference_image_url":"ann/a.png","strength":0}}',
    "config.denoise_strength",
    "must be more than 0, which leaves the reference as it is",
  ],
  ['{"metadata":{"exact_copy_mode":true}}', "metadata.exact_copy_mode", beginsWith],
  ['{"config":{"seed":9007199254740992,"num_images":3}}', "config.seed", "must be at most 2^53 - 2 for 3 pictures"],
  ['{"config":{"seed":9007199254740993}}', "config.seed", seedRule],
  ['{"config":{"seed":-1}}', "config.seed", seedRule],
  ['{"config":{"expires_at":"tomorrow"}}', "config.expires_at", "must be a moment with its offset from UTC, such as"],
  ['{"config":{"steps":151}}', "config.num_inference_steps", stepRule],
];

/** A whole job as text, with such a part. */
export function jobText(part: string, fields: Readonly<Record<string, unknown>> = {}): string {
  const job = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", ...fields };
  return JSON.stringify(job).replace(/\}$/, `,${part.slice(1)}`);
}
