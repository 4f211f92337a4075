import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import { eventSchemas } from "#functions/jobs/job-event.ts";

type Schemas = typeof eventSchemas;

/** One event of a job. */
export type JobEvent = {
  [Name in keyof Schemas]: { readonly id: string; readonly name: Name; readonly data: z.output<Schemas[Name]> };
}[keyof Schemas];

const jobEvent = z.discriminatedUnion("name", [
  z.object({ id: z.string(), name: z.literal("state"), data: eventSchemas.state }),
  z.object({ id: z.string(), name: z.literal("progress"), data: eventSchemas.progress }),
  z.object({ id: z.string(), name: z.literal("preview"), data: eventSchemas.preview }),
]);

const mostBlockCharacters = 32 * 1024 * 1024;

/** The events of a stream, each a block of lines. Comments and events of unknown names are passed over. */
export async function* readJobEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<JobEvent> {
  let rest = "";
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop() ?? "";
    if (rest.length > mostBlockCharacters) throw new CodedError("WORKER_UNREACHABLE", "An event has no end.");
    for (const block of blocks) yield* parseBlock(block);
  }
}

function* parseBlock(block: string): Generator<JobEvent> {
  const fields = new Map(block.split("\n").map(fieldOf));
  const data = fields.get("data");
  const name = fields.get("event") ?? "";
  if (data === undefined || !Object.hasOwn(eventSchemas, name)) return;
  const parsed = jobEvent.safeParse({ id: fields.get("id") ?? "", name, data: JSON.parse(data) });
  if (!parsed.success) throw new CodedError("WORKER_UNREACHABLE", `An event has another form: ${parsed.error.message}`);
  yield parsed.data;
}

function fieldOf(line: string): [string, string] {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
}
