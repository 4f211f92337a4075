import { z } from "zod";
import { defineHandler } from "#contract/handler.ts";
import { inputFieldKey } from "#contract/input-address.ts";
import { jobEnvelope } from "#contract/job.ts";

const input = jobEnvelope.extend({
  config: z.looseObject({ reference_image_url: z.string().meta({ [inputFieldKey]: "picture" }) }),
});

export default defineHandler({
  type: "tint",
  worker: "media",
  produces: "nothing",
  description: "Tints a reference picture; with `keep`, hands it over",
  input,
  retry: { maxAttempts: 2, timeoutSeconds: 30, backoffSeconds: 0.05 },
  async run(job, ctx) {
    const { file, mimeType, width, height, sizeBytes, sha256 } = await ctx.input(job.config.reference_image_url);
    if (job.config.keep === true) {
      const { default: sharp } = await import("sharp");
      const tinted = await sharp(file).tint("sienna").png().toBuffer();
      await ctx.asset(tinted, { type: "image", extension: "png", mimeType: "image/png" });
      await ctx.asset({ file }, { type: "image", extension: "png", mimeType });
    }
    return { metadata: { mimeType, width, height, sizeBytes, sha256, file } };
  },
});
