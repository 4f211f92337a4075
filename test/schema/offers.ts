import { describe, expect, test } from "vitest";
import { service } from "../support/supabase/database.ts";
import {
  ann,
  bob,
  call,
  enqueue,
  everything,
  type Json,
  rowOf,
  rpc,
  rpcList,
  take,
  type UseProject,
} from "./support.ts";

const fast = "sdxl_image_fast";
const high = "sdxl_image_high";
/** Runs jobs of the one type, with its own model or with `tiny`. */
const offer = { types: [fast], default_model_types: [fast], models: ["tiny"] };

/** What a container can run: what it is given, and what people see of the rest. */
export function describeOffers(use: UseProject): void {
  const announce = (container: string, offers: readonly Json[], more: Json = {}) =>
    call(use(), service, "announce_offers", { worker_id: container, offers, ...more });
  const taken = async (options: Parameters<typeof take>[1]) =>
    (await take(use(), { slots: 9, ...options })).leases.map(({ job_id }) => job_id);

  describe("a take with an offer", () => {
    test.each<readonly [string, Json, Json]>([
      ["of another type", { ...offer, types: [high], default_model_types: [high] }, {}],
      ["without the job's model", offer, { model_variant: "big" }],
      ["whose type runs with named models only", { ...offer, default_model_types: [] }, {}],
      ["of nothing", { types: [], default_model_types: [], models: [] }, {}],
      ["of a model for another type", { ...offer, types: [high] }, { model_variant: "tiny" }],
      ["of a default for a type that is not offered", { types: [], default_model_types: [fast], models: [] }, {}],
    ])("%s leaves the job where it is", async (_what, offered, fields) => {
      const jobId = await enqueue(use(), { fields });
      const before = await rowOf(use(), jobId);
      expect(await taken({ offer: offered })).toEqual([]);
      expect(await rowOf(use(), jobId)).toEqual(before);
      expect(await taken({})).toEqual([jobId]);
    });

    test("gives what is inside of it, by priority and age, past what is not", async () => {
      const jobs: string[] = [];
      for (const [type, fields] of [
        [high, { priority: 9 }],
        [fast, { model_variant: "big" }],
        [fast, {}],
        [fast, { model_variant: "tiny" }],
        [fast, { priority: 5, model_variant: "tiny" }],
        [fast, { priority: 5 }],
      ] as const) {
        jobs.push(await enqueue(use(), { type, fields }));
      }
      expect(await taken({ offer })).toEqual([jobs[4], jobs[5], jobs[2], jobs[3]]);
      expect(await taken({})).toEqual([jobs[0], jobs[1]]);
    });

    test("keeps a held model's jobs together, inside of the offer and of one user", async () => {
      const [first, second] = [await enqueue(use(), { user: ann }), await enqueue(use(), { user: ann })];
      const outside = await enqueue(use(), { user: ann, fields: { model_variant: "big" } });
      const others = await enqueue(use(), { user: bob, fields: { model_variant: "tiny" } });
      const held = await enqueue(use(), { user: ann, fields: { model_variant: "tiny" } });
      expect(await taken({ offer, heldModels: ["tiny", "big"] })).toEqual([held, first, second, others]);
      expect(await taken({})).toEqual([outside]);
    });

    test("of null is one without", async () => {
      await enqueue(use(), { fields: { model_variant: "big" } });
      const requests = [{ worker: "sdxl", slots: 1, offer: null }];
      expect(await rpcList(use(), "claim_jobs", { worker_id: "w", requests })).toHaveLength(1);
    });
  });

  describe("a take that skips a user's jobs of a type", () => {
    const takenBeside = async (skip: unknown, more: Json = {}) => {
      const requests = [{ worker: "sdxl", slots: 9, skip, ...more }];
      const leases = await rpcList(use(), "claim_jobs", { worker_id: "w", requests });
      return leases.map(({ job_id }) => job_id);
    };
    /** As if a thousand others stood in front: the walk through the owners finds them as well. */
    const behindMany = async (jobs: number) => {
      await use().owner.query(
        `insert into ourvidz.jobs (user_id, type, worker, source, bucket, priority, element)
         select $1, $2, 'sdxl', 'supabase', bucket, 50, '{}' from ourvidz.jobs, generate_series(1, ${jobs}) limit ${jobs}`,
        [ann, fast],
      );
    };

    test.each([0, 1500])("leaves them where they are, and finds what waits behind %i more of them", async (jobs) => {
      const mine = await enqueue(use(), { user: ann });
      const ofOtherType = await enqueue(use(), { user: ann, type: high });
      const outside = await enqueue(use(), { user: bob, fields: { model_variant: "big" } });
      const others = await enqueue(use(), { user: bob, fields: { model_variant: "tiny" } });
      const nobodys = await enqueue(use(), { fields: { priority: 1 } });
      await behindMany(jobs);
      const skip = [{ user_id: ann, type: fast }];
      expect(await takenBeside(skip, { offer })).toEqual([nobodys, others]);
      expect(await takenBeside(skip)).toEqual([ofOtherType, outside]);
      expect(await takenBeside(skip)).toEqual([]);
      expect(await rowOf(use(), mine)).toMatchObject({ status: "queued", attempt: 0 });
      await use().owner.query("delete from ourvidz.jobs where priority = 50");
      expect(await taken({})).toEqual([mine]);
    });

    test.each([null, "ann", 7, {}, [null, 7, { user_id: ann }], [{ user_id: "ann'", type: "" }]])(
      "takes %j for nobody's",
      async (skip) => {
        const jobId = await enqueue(use(), { user: ann });
        expect(await takenBeside(skip)).toEqual([jobId]);
      },
    );
  });

  describe("announced offers", () => {
    const waitingFor = async (jobId: string) => (await rpc(use(), "get_job", { job_id: jobId })).waiting_for;
    const unoffered = async () => (await rpcList(use(), "queue_stats"))[0]?.unoffered;

    test("show what waits in vain, until somebody offers it", async () => {
      const jobs = [
        await enqueue(use()),
        await enqueue(use(), { fields: { model_variant: "big" } }),
        await enqueue(use(), { fields: { model_variant: "big" } }),
        await enqueue(use(), { fields: { model_variant: "big" }, options: { delay_seconds: 60 } }),
      ];
      const counted = { oldest_seconds: expect.any(Number) };
      expect(await unoffered()).toEqual([
        { type: fast, model: null, served: false, jobs: 1, ...counted },
        { type: fast, model: "big", served: false, jobs: 2, ...counted },
      ]);
      const nobody = { type: fast, model: "big", served: false };
      const big = { ...nobody, served: true };
      expect(await Promise.all(jobs.map(waitingFor))).toEqual([{ ...nobody, model: null }, nobody, nobody, nobody]);
      expect((await announce("w", [{ worker: "sdxl", ...offer }])).body).toBe(1);
      expect(await unoffered()).toEqual([{ ...big, jobs: 2, ...counted }]);
      expect(await Promise.all(jobs.map(waitingFor))).toEqual([null, big, big, big]);
      await announce("x", [{ worker: "sdxl", ...offer, models: ["big"] }]);
      expect(await unoffered()).toEqual([]);
      await take(use());
      await announce("w", []);
      await announce("x", []);
      expect(await Promise.all(jobs.map(waitingFor))).toEqual([null, nobody, nobody, nobody]);
    });

    test("count as long as they are renewed", async () => {
      const jobId = await enqueue(use());
      await announce("w", [{ worker: "sdxl", ...offer }], { ttl_seconds: 60 });
      expect(await waitingFor(jobId)).toBeNull();
      await use().owner.query("update ourvidz.offers set expires_at = now() - interval '1 second'");
      expect(await waitingFor(jobId)).toEqual({ type: fast, model: null, served: false });
      await announce("x", [{ worker: "wan", ...offer }]);
      expect(await use().owner.query("select worker_id, worker from ourvidz.offers")).toEqual([
        { worker_id: "x", worker: "wan" },
      ]);
    });

    test("replace what the same container offered before", async () => {
      await announce("w", [
        { worker: "sdxl", ...offer },
        { worker: "wan", types: ["video_fast"], default_model_types: [], models: [] },
      ]);
      await announce("w", [{ worker: "sdxl", types: [high], default_model_types: [high], models: [] }]);
      const rows = await use().owner.query("select worker, types, models from ourvidz.offers");
      expect(rows).toEqual([{ worker: "sdxl", types: [high], models: [] }]);
    });

    test("are of jobs that a container claims from here, not of those on Redis", async () => {
      const jobId = await enqueue(use(), { options: { source: "upstash" } });
      expect(await waitingFor(jobId)).toBeNull();
      expect(await unoffered()).toEqual([]);
    });

    test.each([0, 86_401, null])("are refused for %s seconds", async (ttl_seconds) => {
      const before = await everything(use());
      const refused = await announce("w", [{ worker: "sdxl", ...offer }], { ttl_seconds });
      expect(refused).toMatchObject({ status: 400, body: { hint: "INVALID_REQUEST" } });
      expect(await everything(use())).toEqual(before);
    });

    test("are kept of the first thousand jobs", async () => {
      await use().owner.query(
        `insert into ourvidz.jobs (type, worker, source, bucket, element, model_variant)
         select 'sdxl_image_fast', 'sdxl', 'supabase', 'b', '{}', 'big' from generate_series(1, 1200)`,
      );
      expect(await unoffered()).toMatchObject([{ model: "big", jobs: 1000 }]);
    });
  });
}
