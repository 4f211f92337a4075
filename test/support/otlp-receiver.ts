import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";

/*
 * A collector that takes spans as OTLP over HTTP in JSON, as its specification says, and refuses what is not:
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
const value = z.object({ stringValue: z.string() }).or(z.object({ intValue: z.union([z.number(), z.string()]) }));
const attributes = z.array(z.object({ key: z.string(), value }));
const hex = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length}}$`));
const nanoseconds = z.string().regex(/^\d{19}$/);

const span = z.object({
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: hex(16).optional(),
  name: z.string().min(1),
  kind: z.number().int().min(1).max(5),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes,
  status: z.object({ code: z.number().int().min(0).max(2), message: z.string().optional() }),
});

const request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(z.object({ scope: z.object({ name: z.string() }), spans: z.array(span) })),
    }),
  ),
});

export interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly error: string | undefined;
  readonly resource: Readonly<Record<string, string>>;
}

export interface OtlpReceiver {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  /** What was refused, and why. */
  readonly refused: string[];
  close(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const refused: string[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const body = await text(incoming);
    const isOtlp = incoming.url === "/v1/traces" && incoming.headers["content-type"] === "application/json";
    const parsed = request.safeParse(isOtlp ? JSON.parse(body) : null);
    if (parsed.success) spans.push(...received(parsed.data));
    else refused.push(`${incoming.method} ${incoming.url}: ${parsed.error.message}`);
    outgoing.writeHead(parsed.success ? 200 : 400, { "Content-Type": "application/json" }).end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the receiver listens on no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    spans,
    refused,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function received({ resourceSpans }: z.output<typeof request>): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((one) => ({
        name: one.name,
        traceId: one.traceId,
        spanId: one.spanId,
        parentSpanId: one.parentSpanId,
        kind: one.kind,
        startMs: Number(one.startTimeUnixNano) / 1e6,
        endMs: Number(one.endTimeUnixNano) / 1e6,
        attributes: recordOf(one.attributes),
        error: one.status.code === 2 ? (one.status.message ?? "") : undefined,
        resource: recordOf(resource.attributes),
      })),
    ),
  );
}

function recordOf(list: z.output<typeof attributes>): Record<string, string> {
  return Object.fromEntries(
    list.map(({ key, value: one }) => [key, String("stringValue" in one ? one.stringValue : one.intValue)]),
  );
}
