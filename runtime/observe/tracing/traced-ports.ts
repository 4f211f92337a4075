import { toErrorReport } from "#contract/errors.ts";
import type { Callback } from "#runtime/delivery/callbacks/callback.ts";
import type { AssetStore } from "#runtime/delivery/stores/asset-store.ts";
import { traceparentOf } from "./traceparent.ts";
import type { SpanAttributes, Tracing } from "./tracing.ts";

/* Store and callback as they are, with a span for each call that belongs to a trace. */
export function tracedStore(store: AssetStore, tracing: Tracing): AssetStore {
  return {
    name: store.name,
    put: (file, signal) =>
      inSpan(tracing, "upload", file.traceparent, { store: store.name, "file.type": file.mimeType }, () =>
        store.put(file, signal),
      ),
    url: (bucket, path) => store.url(bucket, path),
    removeJob: (folder, signal) => store.removeJob(folder, signal),
  };
}

/** Final states only: a span each second for progress would hide the others. */
export function tracedCallback(callback: Callback, tracing: Tracing): Callback {
  return {
    name: callback.name,
    send(body, signal) {
      const parent = body.status === "processing" ? undefined : traceparentOf(body.metadata);
      const attributes = { callback: callback.name, "job.status": body.status };
      return inSpan(tracing, "callback", parent, attributes, () => callback.send(body, signal));
    },
  };
}

async function inSpan(
  tracing: Tracing,
  name: string,
  parent: string | undefined,
  attributes: SpanAttributes,
  work: () => Promise<void>,
): Promise<void> {
  if (parent === undefined) return work();
  const span = tracing.start(name, { parent, attributes });
  try {
    await work();
    span.end();
  } catch (error) {
    span.end({ error: toErrorReport(error) });
    throw error;
  }
}
