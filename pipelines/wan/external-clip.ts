import type { CommandEngine, ReferenceHost, VideoHost } from "#pipelines/core/host.ts";
import type { GenerationOutput } from "#pipelines/diffusion/run-generation.ts";
import { generateByCommand } from "#pipelines/external/generate-clip.ts";
import { checkVideoEncoder } from "#pipelines/video/video-encoder.ts";
import { type ClipJob, type FrameRule, framesToMake } from "./clip-job.ts";
import { referenceFilesOf } from "./clip-references.ts";
import type { ClipRequest } from "./clip-report.ts";

/** Frames that the classic command line makes of one latent frame after the first. */
const temporalScale = 4;

/** What the classic command line has no argument for. */
const unknownToCommands = [
  "guidance_scale_2",
  "switch_threshold",
  "noise",
  "reference_fit",
  "reference_background",
] as const;

interface WantedClip {
  readonly job: ClipJob;
  readonly request: ClipRequest;
  readonly rule: FrameRule;
}

/** A WAN job that the container's command runs; see {@link generateByCommand}. */
export async function generateExternalClip(
  engine: CommandEngine,
  { job, request, rule }: WantedClip,
  host: VideoHost & Pick<ReferenceHost, "input">,
): Promise<GenerationOutput> {
  const { framesRequested, flow_shift: flowShift, output_format, output_quality } = request;
  // What could not be encoded is not worth minutes of the command's time.
  if (framesRequested > 1) await checkVideoEncoder(request);
  const ignored = [
    ...unknownToCommands.filter((name) => request[name] !== undefined),
    ...(framesRequested === 1 ? [] : given({ output_format, output_quality })),
  ];
  const references = await referenceFilesOf(job, host);
  const frames = framesToMake(framesRequested, rule, temporalScale);
  const { prompt, negative_prompt: negativePrompt } = job;
  return generateByCommand(
    engine,
    { ...request, prompt, negativePrompt, frames, flowShift, references, ignored },
    host,
  );
}

function given(values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [name]));
}
