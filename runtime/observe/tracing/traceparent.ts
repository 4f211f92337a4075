/*
 * The trace that a job belongs to travels in its metadata, in the form of W3C's header `traceparent`, version 00:
 * https://www.w3.org/TR/trace-context/#traceparent-header
 */
const form = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;

type Metadata = Readonly<Record<string, unknown>>;

export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

/** Null for what is no trace context: it is worth no error, the job is not traced. */
export function parseTraceparent(value: unknown): TraceContext | null {
  const [, traceId, spanId, flags] = (typeof value === "string" ? form.exec(value) : null) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) };
}

export function formatTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, "0")}`;
}

/** The valid trace context in a job's or callback's metadata. */
export function traceparentOf({ traceparent }: Metadata): string | undefined {
  return typeof traceparent === "string" && parseTraceparent(traceparent) !== null ? traceparent : undefined;
}

/** What every log line of a traced job carries. */
export function traceFields({ traceparent }: Metadata): { readonly trace_id?: string } {
  const context = parseTraceparent(traceparent);
  return context === null ? {} : { trace_id: context.traceId };
}
