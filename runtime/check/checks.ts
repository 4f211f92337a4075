import process from "node:process";
import type { Config } from "#runtime/container/config.ts";
import { lazyEmbedded } from "#runtime/container/embedded.ts";
import { loadHandlers, type Registry } from "#runtime/job-types/registry.ts";
import { GpuReading } from "#runtime/observe/gpu/gpu-reading.ts";
import { tryDataFolder } from "./data-folder.ts";
import { tryExecutor } from "./executor.ts";
import { tryFfmpeg } from "./ffmpeg.ts";
import { tryGpu } from "./gpu.ts";
import { inspectModels } from "./models/inspect-models.ts";
import { neededModels } from "./models/needed-models.ts";
import { checkServices } from "./services.ts";
import { type Check, tried } from "./tried.ts";

/**
 * Tries everything; what depends on something that failed is left out.
 *
 * @param readConfig the configuration that the container has, or would have; its failure is one check's
 */
export async function runChecks(readConfig: () => Promise<Config>): Promise<Check[]> {
  const checks: Check[] = [
    { subject: "dependencies", name: "node", status: "ok", message: `Node.js ${process.versions.node}` },
  ];
  const config = await tried(checks, "environment_variables", "environment", async () => {
    const read = await readConfig();
    return { value: read, message: `listens on ${read.http.host}:${read.http.port}` };
  });
  if (config === null) return checks;
  const folder = await tried(checks, "storage", "data folder", () => tryDataFolder(config));
  await checkSources(checks, config, { hasFolder: folder !== null });
  const registry = await tried(checks, "handlers", "handlers", async () => {
    const loaded = await loadHandlers(config.handlersFolder, { asOnDisk: true });
    if (loaded.types.length === 0)
      throw new Error(`There are no handlers in ${config.handlersFolder}: set HANDLERS_DIR.`);
    return { value: loaded, message: `${loaded.types.length} job types, workers ${loaded.workers.join(", ")}` };
  });
  for (const { type, problem } of registry?.problems ?? [])
    checks.push({ subject: "handlers", name: `handler ${type}`, status: "failed", message: problem });
  await checkModels(checks, config, registry);
  checks.push(await tryGpu(new GpuReading({ waitMs: 10_000 })));
  if (registry === null) return checks;
  for (const worker of workersOf(config, registry)) {
    await tried(checks, "dependencies", `executor ${worker}`, () => tryExecutor(worker, config));
  }
  checks.push(await tryFfmpeg(registry));
  await checkServices(checks, config, registry);
  return checks;
}

function workersOf(config: Config, registry: Registry): readonly string[] {
  return config.workers.length > 0 ? config.workers : registry.workers;
}

/** Every source that is configured, also when no jobs are taken from it; the data folder's own when they are. */
async function checkSources(checks: Check[], config: Config, { hasFolder }: { hasFolder: boolean }): Promise<void> {
  for (const { isEmbedded, name, probe } of config.configuredSources) {
    if (isEmbedded && !(hasFolder && config.sources.some((used) => used.name === name))) continue;
    await tried(checks, "queue", probe.name, async () => {
      const embedded = lazyEmbedded(config);
      try {
        const found = await probe.run({ workers: [], embedded: embedded.source });
        if (typeof found === "string") return { value: null, message: found };
        return { value: null, message: found.warning, isWarning: true };
      } finally {
        await embedded.close();
      }
    });
  }
}

/**
 * A broken folder that nothing needs is a warning: a download may be under way. So is a missing model while another one is
 * there: its job types are not offered. Of a worker that WORKERS names, all models have to be there.
 */
async function checkModels(checks: Check[], config: Config, registry: Registry | null): Promise<void> {
  const subject = "model_paths";
  const needed = registry === null ? [] : await neededModels(registry, config);
  const reports = await tried(checks, subject, "models folder", async () => {
    const found = await inspectModels(config.modelsFolder, registry);
    return { value: found, message: `${found.length} models in ${config.modelsFolder}` };
  });
  for (const { name, problems, warnings, components } of reports ?? []) {
    const used = needed.some(({ folder }) => folder === name);
    const found = [...problems, ...warnings];
    const worst = problems.length > 0 && used ? "failed" : "warning";
    checks.push({
      subject,
      name: `model ${name}`,
      status: found.length === 0 ? "ok" : worst,
      message: found.length === 0 ? components.join(", ") : `${found.join("; ")}.`,
    });
  }
  const isAnyThere = needed.some(({ problem }) => problem === null);
  const isChosen = (type: string) => config.workers.includes(registry?.get(type)?.worker ?? "");
  for (const { model, neededBy, problem, folder } of needed) {
    if (problem === null) continue;
    const isLacking = !isAnyThere || neededBy.some(isChosen);
    checks.push({
      subject,
      name: `model ${model}`,
      // No container has to have every model, but one that an alias stands for is meant to be there.
      status: isLacking || folder !== null ? "failed" : "warning",
      message: `${problem} Needed by: ${neededBy.join(", ")}.`,
    });
  }
}
