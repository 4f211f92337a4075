import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import { workerVersion } from "#runtime/container/version.ts";
import { within } from "#runtime/lib/within.ts";
import type { Logger } from "../log.ts";
import { formatTraceparent, parseTraceparent } from "./traceparent.ts";
import type { Span, SpanOptions, Tracing } from "./tracing.ts";

/*
 * Spans through OpenTelemetry's own packages, sent as OTLP over HTTP in JSON, in batches. A collector that is away costs
 * spans and nothing else: what does not fit into the queue is dropped. Nothing here is registered globally.
 */
export interface OtlpTracingOptions {
  /** Address of the collector, without `/v1/traces`. */
  readonly endpoint: string;
  readonly serviceName: string;
  readonly workerId: string;
  readonly log: Logger;
}

const batch = { maxQueueSize: 2048, maxExportBatchSize: 256, scheduledDelayMillis: 2000, exportTimeoutMillis: 10_000 };

export class OtlpTracing implements Tracing {
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #log: Logger;

  constructor({ endpoint, serviceName, workerId, log }: OtlpTracingOptions) {
    const url = `${endpoint.replace(/\/+$/, "")}/v1/traces`;
    const exporter = logged(new OTLPTraceExporter({ url, timeoutMillis: batch.exportTimeoutMillis }), log);
    this.#log = log;
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({
        "service.name": serviceName,
        "service.version": workerVersion,
        "service.instance.id": workerId,
      }),
      spanProcessors: [new BatchSpanProcessor({ ...batch, exporter })],
    });
    this.#tracer = this.#provider.getTracer("ourvidz-worker", workerVersion);
  }

  start(name: string, { parent, startedAtMs, isConsumer = false, attributes = {} }: SpanOptions): Span {
    const span = this.#tracer.startSpan(
      name,
      {
        kind: isConsumer ? SpanKind.CONSUMER : SpanKind.INTERNAL,
        attributes: { ...attributes },
        ...(startedAtMs === undefined ? {} : { startTime: startedAtMs }),
      },
      contextOf(parent),
    );
    const { traceId, spanId, traceFlags: flags } = span.spanContext();
    return {
      traceparent: formatTraceparent({ traceId, spanId, flags }),
      end({ endedAtMs, attributes: more = {}, error } = {}) {
        span.setAttributes({ ...more });
        if (error !== undefined) {
          span.setAttribute("error.type", error.code);
          span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
        }
        span.end(endedAtMs);
      },
    };
  }

  async stop(limitMs: number): Promise<void> {
    await within(limitMs, this.#provider.shutdown()).catch((error: unknown) => {
      this.#log.warn({ error }, "the last spans could not be sent");
    });
  }
}

/** A new trace for a parent that is no trace context. */
function contextOf(parent: string | undefined): Context {
  const context = parseTraceparent(parent);
  if (context === null) return ROOT_CONTEXT;
  const { traceId, spanId, flags: traceFlags } = context;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/** Logs once that spans do not arrive, and once that they do again. */
function logged(exporter: SpanExporter, log: Logger): SpanExporter {
  let isFailing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const fails = result.error !== undefined;
        if (fails && !isFailing)
          log.warn({ error: result.error }, "spans cannot be sent; they are dropped until they can");
        if (!fails && isFailing) log.info({}, "spans are sent again");
        isFailing = fails;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async (...options) => exporter.forceFlush?.(...options),
  };
}
