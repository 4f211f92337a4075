import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import { call, type Json, rpc, type UseProject } from "./support.ts";

const report = {
  worker_id: "w",
  worker_url: "https://worker.example",
  capabilities: ["sdxl"],
  version: "1",
  status: "active",
};

export function describeWorkers(use: UseProject): void {
  const register = (more: Json = {}) => rpc(use(), "register_worker", { worker: { ...report, ...more } });
  const find = async (args: Json = {}) => (await call(use(), service, "find_active_worker", args)).body;

  describe("containers", () => {
    test("are found by what they can do, the healthiest first", async () => {
      await register({ worker_id: "ill" });
      await register({ worker_id: "healthy", healthy: true });
      await register({ worker_id: "video", capabilities: ["wan"], healthy: true });
      expect(await find({ capability: "sdxl" })).toMatchObject({ worker_id: "healthy" });
      expect(await find({ capability: "wan" })).toMatchObject({ worker_id: "video" });
      expect(await find({ capability: "chat" })).toBeNull();
      await rpc(use(), "mark_worker_healthy", { worker_id: "healthy", healthy: false });
      await rpc(use(), "mark_worker_healthy", { worker_id: "ill" });
      expect(await find({ capability: "sdxl" })).toMatchObject({ worker_id: "ill" });
    });

    test("are gone when they say so, or are not heard of", async () => {
      await register();
      expect(await find()).toMatchObject({ worker_id: "w", url: report.worker_url });
      await use().owner.query("update ourvidz.workers set last_seen_at = now() - interval '121 seconds'");
      expect(await find()).toBeNull();
      await register();
      await register({ status: "stopped" });
      expect(await find()).toBeNull();
    });

    test("keep the newest report, whichever arrives last", async () => {
      await register({ timestamp: "2026-01-01T00:00:10Z", status: "stopped" });
      const late = await register({ timestamp: "2026-01-01T00:00:05Z", worker_url: "https://old.example" });
      expect(late).toMatchObject({ status: "stopped", url: report.worker_url });
      expect(await register({ timestamp: "2026-01-01T00:01:00Z" })).toMatchObject({ status: "active" });
    });

    test("are heard again when their clock, which was ahead, is set", async () => {
      await register({ timestamp: "2999-01-01T00:00:00Z" });
      const now = new Date(Date.now() + 1000).toISOString();
      expect(await register({ timestamp: now, worker_url: "https://new.example" })).toMatchObject({
        url: "https://new.example",
      });
    });

    test("make job types known that neither the contract nor the app has", async () => {
      const { owner } = use();
      const parameters = { type: "object", properties: { height: { type: "number" } } };
      const tide = { type: "tide", worker: "media", content_type: "nothing", bucket: "tides", parameters };
      const shipped = { type: "chat", worker: "media", content_type: "video", bucket: "videos" };
      const known = () =>
        owner.query(`
          select type, worker, content_type, bucket, parameters, registered_at is not null as registered
            from ourvidz.job_types where type in ('tide', 'chat') order by type`);
      await register({ job_types: [tide, shipped, tide] });
      const chat = {
        type: "chat",
        worker: "chat",
        content_type: "text",
        bucket: "chat",
        parameters: null,
        registered: false,
      };
      const row = { ...tide, content_type: null, registered: true };
      expect(await known()).toEqual([chat, row]);
      await owner.query("update ourvidz.job_types set bucket = 'chosen' where type = 'tide'");
      await register({ job_types: [{ ...tide, worker: "sea", content_type: "image", parameters: null }] });
      await register({ status: "stopped", job_types: [] });
      const changed = { ...row, worker: "sea", content_type: "image", bucket: "chosen", parameters: null };
      expect(await known()).toEqual([chat, changed]);
      expect(await rpc(use(), "enqueue_job", { job: { type: "tide", prompt: "low tide" } })).toMatchObject({
        queue: "sea_queue",
        element: { bucket: "chosen" },
      });
      await owner.query("delete from ourvidz.job_types where type = 'tide'");
      await owner.query("delete from storage.buckets where id in ('tides', 'chosen')");
    });

    test.each([{ worker_id: "w" }, { worker_url: "https://worker.example" }, {}])(
      "need an id and an address: %j",
      async (worker) => {
        const answer = await call(use(), service, "register_worker", { worker });
        expect(answer).toMatchObject({ status: 400, body: { hint: "INVALID_REQUEST" } });
      },
    );

    test("have an address of the web", async () => {
      const worker = { ...report, worker_url: "file:///etc/passwd" };
      expect((await call(use(), service, "register_worker", { worker })).status).toBe(400);
    });
  });
}
