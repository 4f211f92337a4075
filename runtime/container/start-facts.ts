import type { Runtime } from "./runtime.ts";

/** What a person wants to know of a container that has started: where to look at it, what it runs and on what, what is off. */
export async function startFacts(runtime: Runtime, url: string): Promise<Readonly<Record<string, unknown>>> {
  const { config, sources, gpu, offers } = runtime;
  const [gpus] = await Promise.all([gpu.read(), offers.checked]);
  const lacks = offers.conditions.map(({ subject }) => subject);
  return {
    console: `${url}/`,
    queues: [...sources.keys()],
    gpu: gpus === null || gpus.length === 0 ? "none: the CPU computes" : gpus.map(({ name }) => name),
    runs: Object.fromEntries([...offers.all].map(([worker, { defaultModelTypes }]) => [worker, defaultModelTypes])),
    models: [...new Set([...offers.all.values()].flatMap(({ models }) => models))],
    ...(lacks.length === 0 ? {} : { lacks }),
    off: [
      ...(config.http.apiKeys.length === 0 ? ["keys (WAN_WORKER_API_KEY): only this machine may call"] : []),
      ...(config.supabase === null ? ["Supabase (SUPABASE_URL)"] : []),
      ...(config.callback === null ? ["callbacks (CALLBACK_URL)"] : []),
      ...(config.tracing === null ? ["traces (OTEL_EXPORTER_OTLP_ENDPOINT)"] : []),
    ],
  };
}
