import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it } from "vitest";
import { jobCallback } from "#contract/callback.ts";
import { databaseFile, openDatabase } from "#runtime/lib/database/database.ts";
import { describeCallback } from "#test/conformance/delivery.ts";
import { startCallbackServer } from "#test/support/supabase/callback-server.ts";
import { CallbackLog, callbackMigrations } from "./callback-log.ts";
import { HttpCallback } from "./http-callback.ts";
import { RecordedCallback } from "./recorded-callback.ts";

async function openLog() {
  const folder = await mkdtemp(join(tmpdir(), "ourvidz-callbacks-"));
  const database = await openDatabase(databaseFile(folder), callbackMigrations);
  const log = new CallbackLog(database, Date.now);
  return {
    log,
    known: async (jobId: string) => log.of(jobId).map(({ body }) => jobCallback.parse(body)),
    async close() {
      database.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openApp() {
  const app = await startCallbackServer();
  const config = { url: app.url, secret: app.secret, assets: "objects" } as const;
  return {
    app,
    callback: new HttpCallback({ config, project: null, nowMs: Date.now }),
    known: async (jobId: string) => [...app.known.values()].filter(({ job_id }) => job_id === jobId),
    close: () => app.close(),
  };
}

describeCallback("embedded", async () => {
  const { log, ...rest } = await openLog();
  return { callback: log, ...rest };
});

describeCallback("over HTTP", openApp);

describeCallback("over HTTP with a record, as the record has it", async () => {
  const [app, record] = [await openApp(), await openLog()];
  return {
    callback: new RecordedCallback(app.callback, record.log, pino({ level: "silent" })),
    known: record.known,
    async close() {
      await app.close();
      await record.close();
    },
  };
});

it("what the app has taken is not sent once more because it could not be recorded", async () => {
  const sent: string[] = [];
  const app = { name: "app", send: async ({ status }: { readonly status: string }) => void sent.push(status) };
  const full = { name: "record", send: () => Promise.reject(new Error("the disk is full")) };
  const callback = new RecordedCallback(app, full, pino({ level: "silent" }));
  const body = jobCallback.parse({ job_id: "a", status: "cancelled", attempt: 1, metadata: {}, assets: [] });
  await callback.send(body, new AbortController().signal);
  expect(sent).toEqual(["cancelled"]);
});
