import type { NamedEvent } from "../http/event-stream.ts";

/** The events of a server-sent stream, as a browser would see them. */
export async function* readEvents(response: Response): AsyncGenerator<NamedEvent> {
  let rest = "";
  for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(
        block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      const data = fields.get("data");
      if (data !== undefined)
        yield { id: fields.get("id") ?? "", event: fields.get("event") ?? "", data: JSON.parse(data) };
    }
  }
}

/** A job's events in short: `queued 0`, `running 1`, `50 %`, `preview`. */
export function inShort({ event, data }: NamedEvent): string {
  const fields = new Map(Object.entries(Object(data)));
  if (event === "state") return `${fields.get("status")} ${fields.get("attempt")}`;
  return event === "progress" ? `${Math.round(Number(fields.get("progress")) * 100)} %` : event;
}
