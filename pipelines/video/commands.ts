import ffmpeg from "fluent-ffmpeg";

export const containers = ["mp4", "webm", "webp"] as const;
export type Container = (typeof containers)[number];

/** By ffmpeg's names. */
export type VideoEncoderName = "libx264" | "h264_nvenc" | "libsvtav1" | "libvpx-vp9" | "libwebp_anim";

export interface EncodeCommand {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly container: Container;
  readonly encoder: VideoEncoderName;
  readonly crf: number;
  readonly output: string;
}

/**
 * Arguments of an ffmpeg that reads raw rgb24 frames from its standard input. Built with fluent-ffmpeg, but not run by it:
 * its runner keeps one path for all commands, starts two more processes to list formats and encoders, and can neither
 * use a process group nor stop what it has not started yet.
 */
export function encodeArguments({ width, height, fps, container, encoder, crf, output }: EncodeCommand): string[] {
  const command = ffmpeg()
    .input("pipe:0")
    .inputFormat("rawvideo")
    .inputOptions(["-hide_banner", "-loglevel", "error"])
    .inputOptions(["-pix_fmt", "rgb24", "-video_size", `${width}x${height}`, "-framerate", String(fps)])
    .noAudio()
    .videoCodec(encoder)
    .outputOptions(encoderOptions(encoder, crf))
    .outputOptions(container === "webp" ? [] : bt709)
    .outputOptions(container === "mp4" ? ["-movflags", "+faststart"] : [])
    .format(container)
    .output(output);
  if (container !== "webp") command.videoFilters(toBt709);
  return command._getArguments();
}

/** The conversion has to be named: by default it would be that of BT.601, whatever the tags are. */
const toBt709 = "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_int";

const bt709 = [
  ...["-pix_fmt", "yuv420p", "-color_range", "tv"],
  ...["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"],
];

function encoderOptions(encoder: VideoEncoderName, crf: number): string[] {
  switch (encoder) {
    case "libx264":
      return ["-preset", "medium", "-crf", String(crf)];
    case "h264_nvenc":
      return ["-preset", "p5", "-tune", "hq", "-rc", "vbr", "-cq", String(crf), "-b:v", "0"];
    case "libsvtav1":
      return ["-preset", "6", "-crf", String(crf)];
    case "libvpx-vp9":
      return ["-deadline", "good", "-cpu-used", "3", "-row-mt", "1", "-b:v", "0", "-crf", String(crf)];
    case "libwebp_anim":
      // Not yuv420p: libwebp does that conversion by itself, with the colours that the format is defined for.
      return ["-pix_fmt", "bgra", "-quality", String(100 - crf), "-loop", "0"];
  }
}

/**
 * Reports the file's stream, and each frame in it, as JSON. The frames are counted where they are stored: to decode them all
 * would take a seventh of the time that encoding them took.
 */
export function probeArguments(file: string): string[] {
  return [
    ...["-v", "error", "-select_streams", "v:0"],
    ...["-show_entries", "stream=codec_name,pix_fmt,width,height,duration:format=duration:packet=size"],
    ...["-of", "json", file],
  ];
}
