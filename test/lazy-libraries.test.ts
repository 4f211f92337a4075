import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startContainerProcess } from "./support/container-process.ts";

/* Libraries that a start must not pay for: they are loaded by whoever is configured to use them. */

const hook = new URL("support/loaded-modules.mjs", import.meta.url).href;
const polling = { timeout: 60_000, interval: 100 };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ourvidz-lazy-"));
});
// The executors of a killed container end, and write their list, a moment after it.
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }));

async function startAt(name: string, env: Readonly<Record<string, string>>) {
  const loadedFile = join(folder, `${name}.txt`);
  const container = startContainerProcess({
    DATA_DIR: join(folder, name),
    NODE_OPTIONS: `--import=${hook}`,
    LOADED_MODULES: loadedFile,
    ...env,
  });
  const loads = async (library: string) => (await readFile(loadedFile, "utf8").catch(() => "")).includes(library);
  return { container, loads };
}

test("an embedded container loads nothing of Supabase's, and nothing that draws or encodes", {
  timeout: 90_000,
}, async () => {
  const { container, loads } = await startAt("embedded", {});
  try {
    await expect.poll(() => container.log(), polling).toContain("the container is up");
    expect(await loads("/zod/")).toBe(true);
    const libraries = ["/@supabase/", "/tus-js-client/", "/onnxruntime-node/", "/sharp/", "/fluent-ffmpeg/"];
    for (const library of libraries) expect([library, await loads(library)]).toEqual([library, false]);
  } finally {
    await container.kill();
  }
});

test("a container that takes from Supabase loads its library at its first take", { timeout: 90_000 }, async () => {
  const { container, loads } = await startAt("supabase", {
    SOURCES: "supabase",
    SUPABASE_URL: "http://127.0.0.1:9",
    SUPABASE_SERVICE_KEY: "sb_secret_nobody",
    HEARTBEAT_SECONDS: "0",
  });
  try {
    await expect.poll(() => loads("/@supabase/supabase-js/"), polling).toBe(true);
  } finally {
    await container.kill();
  }
});
