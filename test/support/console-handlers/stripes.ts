import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { promptText } from "#contract/fields.ts";
import { defineHandler } from "#contract/handler.ts";
import { jobEnvelope } from "#contract/job.ts";

export default defineHandler({
  type: "stripes",
  worker: "media",
  produces: "image",
  description: "Draws grey stripes",
  input: jobEnvelope.extend({ prompt: promptText }),
  parameters: z.object({
    width: z.int().min(64).max(2048).default(256),
    height: z.int().min(64).max(2048).default(256),
    stripes: z.int().min(1).max(64),
  }),
  defaults: { stripes: 8 },
  retry: { maxAttempts: 2, timeoutSeconds: 30, backoffSeconds: 1 },
  async run(_job, ctx) {
    const { width, height, stripes } = await ctx.parameters();
    const { default: sharp } = await import("sharp");
    const pixels = new Uint8ClampedArray(width * height * 3);
    for (let stripe = 0; stripe < stripes; stripe++) {
      await nextTurn(undefined, { signal: ctx.signal });
      const [from, to] = [stripe, stripe + 1].map((edge) => Math.round((edge * height) / stripes) * width * 3);
      pixels.fill((255 * stripe) / stripes, from, to);
      ctx.progress(stripe + 1, stripes);
    }
    const picture = sharp(pixels, { raw: { width, height, channels: 3 } }).png();
    const metadata = { width, height };
    await ctx.asset(await picture.toBuffer(), { type: "image", extension: "png", mimeType: "image/png", metadata });
    return { metadata: { stripes } };
  },
});
