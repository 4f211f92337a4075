import type { ErrorReport } from "#contract/errors.ts";

/*
 * Spans, as the parts of the runtime see them. Without an endpoint there are none: a trace context is then only passed on.
 * The packages that send spans are loaded where an endpoint is configured, and nowhere else.
 */
export interface Tracing {
  start(name: string, options: SpanOptions): Span;
  /** Sends what is left, within `limitMs`. Never rejects. */
  stop(limitMs: number): Promise<void>;
}

export interface SpanOptions {
  /** `traceparent` of the span that this one is a part of; a new trace begins without one. */
  readonly parent: string | undefined;
  /** Now when it is left out. */
  readonly startedAtMs?: number;
  /** Work that came from a queue. */
  readonly isConsumer?: boolean;
  readonly attributes?: SpanAttributes;
}

export type SpanAttributes = Readonly<Record<string, string | number>>;

export interface Span {
  /** Names this span to what belongs to it; the parent's where no spans are made. */
  readonly traceparent: string | undefined;
  end(ending?: SpanEnding): void;
}

export interface SpanEnding {
  readonly endedAtMs?: number;
  readonly attributes?: SpanAttributes;
  readonly error?: ErrorReport;
}

export const noTracing: Tracing = {
  start: (_name, { parent }) => ({ traceparent: parent, end: () => undefined }),
  stop: async () => undefined,
};
