/** What a job type makes, and in which kind of file. */
const image = { contentType: "image", fileExtension: "png" } as const;
const video = { contentType: "video", fileExtension: "mp4" } as const;
const text = { contentType: "text", fileExtension: "txt" } as const;

/**
 * Every job type on the wire. `steps` and `guidance` are the type's own values; null where the job must say them
 * itself (pure inference) or where there are none (language model). `expectedSeconds` is sent as `expected_time`:
 * the upper end of what the original system took on a 48 GB card, null when unknown.
 */
export const jobTypes = {
  sdxl_image_fast: { worker: "sdxl", steps: 15, guidance: 6.0, expectedSeconds: 30, ...image },
  sdxl_image_high: { worker: "sdxl", steps: 25, guidance: 7.5, expectedSeconds: 42, ...image },
  sdxl_generate: { worker: "sdxl", steps: null, guidance: null, expectedSeconds: null, ...image },
  image_fast: { worker: "wan", steps: 25, guidance: 6.5, expectedSeconds: 40, ...image },
  image_high: { worker: "wan", steps: 50, guidance: 7.5, expectedSeconds: 100, ...image },
  video_fast: { worker: "wan", steps: 25, guidance: 6.5, expectedSeconds: 180, ...video },
  video_high: { worker: "wan", steps: 50, guidance: 7.5, expectedSeconds: 240, ...video },
  image7b_fast_enhanced: { worker: "wan", steps: 25, guidance: 6.5, expectedSeconds: 100, ...image },
  image7b_high_enhanced: { worker: "wan", steps: 50, guidance: 7.5, expectedSeconds: 240, ...image },
  video7b_fast_enhanced: { worker: "wan", steps: 25, guidance: 6.5, expectedSeconds: 240, ...video },
  video7b_high_enhanced: { worker: "wan", steps: 50, guidance: 7.5, expectedSeconds: 240, ...video },
  wan_generate: { worker: "wan", steps: null, guidance: null, expectedSeconds: null, ...video },
  t2v: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  t2v_22: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  generate_video: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  i2v: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  i2v_22: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  flf2v: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  vace: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  vace_21: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  vace_22: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...video },
  wan_2_2_t2i: { worker: "wan", steps: 25, guidance: 7.5, expectedSeconds: null, ...image },
  enhance_base: { worker: "chat", steps: null, guidance: null, expectedSeconds: null, ...text },
  enhance_instruct: { worker: "chat", steps: null, guidance: null, expectedSeconds: null, ...text },
  chat: { worker: "chat", steps: null, guidance: null, expectedSeconds: null, ...text },
} as const;

export type JobType = keyof typeof jobTypes;
export type WorkerName = (typeof jobTypes)[JobType]["worker"];
export type ContentType = (typeof jobTypes)[JobType]["contentType"];
export type QueueName<Worker extends string = string> = `${Worker}_queue`;

/** Names that older producers send, and what they are called now. */
const renamedJobTypes: Readonly<Record<string, JobType>> = {
  wan_video_fast: "video_fast",
  wan_video_high: "video_high",
};

export function isJobType(type: string): type is JobType {
  return Object.hasOwn(jobTypes, type);
}

/** The present name of a job type; a name that was never changed (known or not) is returned as it is. */
export function currentJobType(type: string): string {
  return Object.hasOwn(renamedJobTypes, type) ? (renamedJobTypes[type] ?? type) : type;
}

/** The queue of a worker: `queueName("sdxl")` is `sdxl_queue`. */
export function queueName<Worker extends string>(worker: Worker): QueueName<Worker> {
  return `${worker}_queue`;
}

/** What a job makes; undefined for a job type of a deployment's own. One frame of `wan_generate` is an image. */
export function contentTypeOf(type: string, frameNum?: unknown): ContentType | undefined {
  if (type === "wan_generate" && frameNum === 1) return "image";
  return isJobType(type) ? jobTypes[type].contentType : undefined;
}
