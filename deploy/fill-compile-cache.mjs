import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/*
 * Runs what a container runs until its first picture, with the small models of the project: Node writes down what it has compiled
 * when the processes end. Nothing outside of this machine is called: nobody answers at the addresses of the sources.
 */
const cli = fileURLToPath(new URL("../cli/ourvidz.js", import.meta.url));
const nowhere = "http://127.0.0.1:9";
const folder = mkdtempSync(join(tmpdir(), "ourvidz-compile-"));
// biome-ignore lint/style/noProcessEnv: no setting: where the system's programs are
const { PATH } = process.env;
const env = { PATH, DATA_DIR: join(folder, "data"), HOME: folder, HOST: "127.0.0.1", PORT: "0", LOG_LEVEL: "silent" };
const key = randomUUID();
const sources = {
  WAN_WORKER_API_KEY: key,
  SOURCES: "sqlite,runpod,upstash",
  UPSTASH_REDIS_REST_URL: nowhere,
  UPSTASH_REDIS_REST_TOKEN: "none",
  RUNPOD_WEBHOOK_GET_JOB: `${nowhere}/job-take/$RUNPOD_POD_ID`,
  RUNPOD_WEBHOOK_POST_OUTPUT: `${nowhere}/job-done/$RUNPOD_POD_ID/$ID`,
  RUNPOD_WEBHOOK_PING: `${nowhere}/ping/$RUNPOD_POD_ID`,
  RUNPOD_POD_ID: "none",
  RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: "true",
};

try {
  const picture = ["run", "sdxl_image_fast", "a lake", "--config", '{"steps": 2}', "--out", join(folder, "out")];
  execFileSync(process.execPath, [cli, ...picture], { env, stdio: "inherit" });
  await runContainer();
} finally {
  rmSync(folder, { recursive: true });
}

/** Starts a container, asks it what a platform does, and ends it. */
async function runContainer() {
  const container = spawn(process.execPath, [cli, "start", "--json"], {
    env: { ...env, ...sources },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(container, "exit");
  try {
    const listening = await Promise.race([once(container.stdout, "data"), ended]);
    const { url } = JSON.parse(String(listening[0]));
    for (const path of ["/health", "/metrics"]) {
      const { ok } = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } });
      if (!ok) throw new Error(`${path} is not answered.`);
    }
  } finally {
    container.kill("SIGTERM");
    await ended;
  }
  if (container.exitCode !== 0) throw new Error(`The container ended with ${container.exitCode}.`);
}
