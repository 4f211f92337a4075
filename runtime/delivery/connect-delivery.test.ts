import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it } from "vitest";
import { readConfig } from "#runtime/container/config.ts";
import { openEmbedded } from "#runtime/container/embedded.ts";
import { connectDelivery } from "./connect-delivery.ts";

it("says where results go, without what opens it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-delivery-"));
  const config = readConfig(
    {
      DATA_DIR: folder,
      SUPABASE_URL: "https://abcd.supabase.co",
      SUPABASE_SERVICE_KEY: "sb_secret_of-this-project",
      CALLBACK_URL: "https://app.example/callback?code=what-opens-the-endpoint",
    },
    () => "container-1",
  );
  const embedded = await openEmbedded(config);
  const lines: string[] = [];
  const { store, callback } = connectDelivery(config, embedded, pino({}, { write: (line) => lines.push(line) }));
  expect([store.name, callback.name]).toEqual(["supabase", "http"]);
  expect(lines.join()).toContain('"callback_url":"https://app.example/callback"');
  expect(lines.join()).not.toMatch(/what-opens|of-this-project/);
  await embedded.close();
  await rm(folder, { recursive: true });
});
