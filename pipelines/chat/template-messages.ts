import { z } from "zod";

/* What is said between a chat template's process and the one that it writes for. */

/** The first message: the template, and the texts of the tokenizer's marks. */
export const templateTask = z.object({ source: z.string(), marks: z.record(z.string(), z.string()) });

export const renderRequest = z.array(z.object({ role: z.string(), content: z.string() }));

export const renderReport = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready") }),
  /** The template is not one that can be read. */
  z.object({ kind: z.literal("broken"), problem: z.string() }),
  z.object({ kind: z.literal("text"), text: z.string() }),
  /** The template itself says that it does not take these messages. */
  z.object({ kind: z.literal("refused"), problem: z.string() }),
  z.object({ kind: z.literal("failed"), problem: z.string() }),
]);

export type TemplateTask = z.output<typeof templateTask>;
export type RenderReport = z.output<typeof renderReport>;
