import { describe, expect, test } from "vitest";
import { anonymous, asCaller, type Caller, service, user } from "../support/supabase/database.ts";
import {
  ann,
  bob,
  call,
  callback,
  enqueue,
  everything,
  imageOf,
  read,
  rpc,
  statusOf,
  type UseProject,
} from "./support.ts";

/** What the REST API shows of them. */
const shown = [
  "ourvidz_assets",
  "ourvidz_chat_sessions",
  "ourvidz_enhancement_presets",
  "ourvidz_job_types",
  "ourvidz_jobs",
  "ourvidz_usage",
] as const;

const tables = [
  "jobs",
  "job_attempts",
  "job_ends",
  "offers",
  "paused_queues",
  "idempotency_keys",
  "queue_outbox",
  "request_rates",
  "assets",
  "usage",
  "workers",
  "job_types",
  "enhancement_presets",
  "chat_sessions",
  "attempt_logs",
] as const;

/** Whoever is signed in may ask to cancel, and have their conversations forgotten; everything else is the service's. */
const forUsers = ["request_cancel", "forget_my_chat_sessions"];

/** Who may read, write and call what. */
export function describeAccess(use: UseProject): void {
  describe("access", () => {
    test("every function of ours is granted to the service, and to users only what is theirs", async () => {
      const rows = await use().owner.query(`
        select proname as name,
               has_function_privilege('anon', oid, 'execute') as anon,
               has_function_privilege('authenticated', oid, 'execute') as authenticated,
               has_function_privilege('service_role', oid, 'execute') as service,
               exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0) as everybody
          from pg_catalog.pg_proc where pronamespace = 'public'::regnamespace order by proname`);
      expect(rows.length).toBeGreaterThan(15);
      for (const row of rows) {
        const authenticated = forUsers.includes(String(row.name));
        expect(row).toEqual({ name: row.name, anon: false, authenticated, service: true, everybody: false });
      }
    });

    test("nobody but the owner reaches the functions behind them", async () => {
      const rows = await use().owner.query(`
        select role, has_schema_privilege(role, 'ourvidz', 'usage') as usage,
               (select count(*)::int from pg_catalog.pg_proc
                 where pronamespace = 'ourvidz'::regnamespace and has_function_privilege(role, oid, 'execute')) as functions
          from unnest(array['anon', 'authenticated', 'service_role']) as role`);
      for (const row of rows) expect(row).toEqual({ role: row.role, usage: row.role !== "anon", functions: 0 });
    });

    test("every function runs with a fixed search path", async () => {
      const rows = await use().owner.query(`
        select proname from pg_catalog.pg_proc
         where pronamespace in ('public'::regnamespace, 'ourvidz'::regnamespace)
           and not coalesce(proconfig @> array['search_path=""'], false)`);
      expect(rows).toEqual([]);
    });

    test("a function that is added later belongs to nobody until it is granted", async () => {
      const { owner } = use();
      const [row] = await owner.transaction(async (query) => {
        await query("create function public.added_later() returns int language sql as 'select 1'");
        const privileges = await query(`
          select has_function_privilege('anon', 'public.added_later()', 'execute') as anon,
                 has_function_privilege('authenticated', 'public.added_later()', 'execute') as authenticated`);
        await query("drop function public.added_later()");
        return privileges;
      });
      expect(row).toEqual({ anon: false, authenticated: false });
    });

    test("row level security is on for every table", async () => {
      const rows = await use().owner.query(`
        select relname, relrowsecurity from pg_catalog.pg_class
         where relnamespace = 'ourvidz'::regnamespace and relkind = 'r' order by relname`);
      expect(rows.map((row) => row.relname)).toEqual([...tables].toSorted());
      expect(rows.every((row) => row.relrowsecurity === true)).toBe(true);
    });

    test("in the schema of the REST API there are views alone, which read as whoever asks", async () => {
      const rows = await use().owner.query(`
        select relname as name, relkind as kind, reloptions @> array['security_invoker=true'] as invoker
          from pg_catalog.pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'p', 'f', 'S') order by relname`);
      expect(rows).toEqual(shown.map((name) => ({ name, kind: "v", invoker: true })));
    });

    test("Realtime shows users their own jobs: it reads the table, by its schema, as the user", async () => {
      const jobId = await enqueue(use(), { user: ann });
      await enqueue(use(), { user: bob });
      const published = await use().owner.query(
        "select schemaname, tablename from pg_catalog.pg_publication_tables where pubname = 'supabase_realtime'",
      );
      expect(published).toEqual([{ schemaname: "ourvidz", tablename: "jobs" }]);
      const seen = (caller: Caller) => asCaller(use().api, caller, (query) => query("select id from ourvidz.jobs"));
      expect(await seen(user(ann))).toEqual([{ id: jobId }]);
      await expect(seen(anonymous)).rejects.toMatchObject({ code: "42501" });
    });
  });
  describeReading(use);
  describeWriting(use);
  describeStorage(use);
}

function describeReading(use: UseProject): void {
  describe("reading", () => {
    test.each(shown)("%s is closed to visitors without an account", async (view) => {
      expect((await read(use(), anonymous, view)).status).toBe(401);
    });

    test.each(tables)("the table %s is closed to visitors without an account", async (table) => {
      const reading = asCaller(use().api, anonymous, (query) => query(`select from ourvidz.${table}`));
      await expect(reading).rejects.toMatchObject({ code: "42501" });
    });

    test.each(["ourvidz_jobs", "ourvidz_assets", "ourvidz_usage"] as const)(
      "%s shows users their own rows only",
      async (view) => {
        const jobId = await enqueue(use(), { user: ann, options: { source: "upstash" } });
        await rpc(use(), "apply_job_callback", callback(jobId, "completed", { assets: [imageOf(jobId, ann)] }));
        await enqueue(use(), { user: null });
        expect(await read(use(), user(ann), view)).toMatchObject({ status: 200, body: [{}] });
        expect(await read(use(), user(bob), view)).toEqual({ status: 200, body: [] });
        expect((await read(use(), service, view)).status).toBe(200);
      },
    );

    test.each(["ourvidz_job_types", "ourvidz_enhancement_presets"] as const)(
      "%s is for everybody signed in",
      async (view) => {
        const { status, body } = await read(use(), user(bob), view);
        expect(status).toBe(200);
        expect(Array.isArray(body) && body.length > 0).toBe(true);
      },
    );

    test.each([
      "job_attempts",
      "job_ends",
      "offers",
      "idempotency_keys",
      "queue_outbox",
      "request_rates",
      "workers",
    ] as const)("%s is for the service", async (table) => {
      const reading = (caller: Caller) =>
        asCaller(use().api, caller, (query) => query(`select from ourvidz.${table} limit 1`));
      await expect(reading(user(ann))).rejects.toMatchObject({ code: "42501" });
      await expect(reading(service)).resolves.toBeDefined();
    });

    test("what attempts have printed is read by its function alone", async () => {
      for (const caller of [user(ann), service])
        await expect(
          asCaller(use().api, caller, (query) => query("select from ourvidz.attempt_logs limit 1")),
        ).rejects.toMatchObject({ code: "42501" });
    });
  });
}

function describeWriting(use: UseProject): void {
  const writes = [
    "insert into ourvidz.jobs (type, worker, source, bucket, element) values ('chat', 'chat', 'supabase', 'chat', '{}')",
    "update ourvidz.jobs set progress = 0.5",
    "delete from ourvidz.jobs",
    "update ourvidz.assets set path = 'x'",
    "insert into ourvidz.workers (worker_id, url) values ('w', 'https://worker.example')",
    "insert into ourvidz.job_types (type, worker, content_type, file_extension, bucket) values ('own', 'own', 'text', 'txt', 'own')",
    "delete from ourvidz.usage",
    "delete from ourvidz.job_ends",
    "insert into ourvidz.offers values ('w', 'sdxl', '{}', '{}', '{}', now())",
    "update ourvidz.enhancement_presets set max_tokens = 1",
    "truncate ourvidz.jobs",
    "update ourvidz.chat_sessions set user_id = 'x'",
    "delete from public.ourvidz_chat_sessions",
    "update public.ourvidz_jobs set progress = 0.5",
    "delete from public.ourvidz_assets",
    "insert into public.ourvidz_job_types (type, worker, content_type, file_extension, bucket) values ('own', 'own', 'text', 'txt', 'own')",
  ];
  const outsiders: Readonly<Record<string, Caller>> = { anon: anonymous, owner: user(ann), "another user": user(bob) };

  describe.each(Object.entries(outsiders))("writing by %s", (_name, caller) => {
    test.each(writes)("is refused: %s", async (statement) => {
      await enqueue(use(), { user: ann });
      const before = await everything(use());
      await expect(asCaller(use().api, caller, (query) => query(statement))).rejects.toMatchObject({ code: "42501" });
      expect(await everything(use())).toEqual(before);
    });
  });

  describe("calling", () => {
    test("cancel is for the owner and the service; another user does not even learn that the job is there", async () => {
      const jobId = await enqueue(use(), { user: ann });
      expect((await call(use(), anonymous, "request_cancel", { job_id: jobId })).status).toBe(401);
      expect(await call(use(), user(bob), "request_cancel", { job_id: jobId })).toMatchObject({
        status: 404,
        body: { hint: "JOB_NOT_FOUND" },
      });
      expect(await statusOf(use(), jobId)).toBe("queued");
      expect(await call(use(), user(ann), "request_cancel", { job_id: jobId })).toMatchObject({
        status: 200,
        body: { outcome: "cancelled" },
      });
    });

    test("a job of nobody is cancelled by the service only", async () => {
      const jobId = await enqueue(use(), { user: null });
      expect((await call(use(), user(ann), "request_cancel", { job_id: jobId })).status).toBe(404);
      expect((await call(use(), service, "request_cancel", { job_id: jobId })).status).toBe(200);
    });

    test.each([
      ["enqueue_job", { job: { type: "chat" } }],
      ["apply_job_callback", { callback: {} }],
      ["claim_jobs", { worker_id: "w", requests: [] }],
      ["settle_job", { settlement: {} }],
      ["take_jobs", { worker_id: "w", requests: [] }],
      ["ends_reported", { ends: [] }],
      ["note_deliveries", { notes: [] }],
      ["announce_offers", { worker_id: "w", offers: [] }],
      ["register_worker", { worker: {} }],
      ["list_jobs", {}],
    ])("%s is refused to users and visitors", async (name, args) => {
      expect((await call(use(), user(ann), name, args)).status).toBe(403);
      expect((await call(use(), anonymous, name, args)).status).toBe(401);
    });
  });
}

function describeStorage(use: UseProject): void {
  describe("storage", () => {
    test("every job type has a private bucket with its kinds of files and a size", async () => {
      const rows = await use().owner.query(`
        select type, content_type, buckets.public, file_size_limit > 0 as is_limited, allowed_mime_types
          from ourvidz.job_types left join storage.buckets on buckets.id = job_types.bucket order by type`);
      expect(rows.length).toBeGreaterThan(10);
      for (const { type, content_type, allowed_mime_types, ...row } of rows) {
        expect({ type, ...row }).toEqual({ type, public: false, is_limited: true });
        const expected = { image: "image/png", video: "video/mp4", text: "text/plain" }[String(content_type)];
        expect(allowed_mime_types).toContain(expected);
      }
    });

    test("a job type that an app adds gets its bucket, and one that is there is left as it is", async () => {
      const added = await use().owner.transaction(async (query) => {
        await query("update storage.buckets set file_size_limit = 7 where id = 'image_fast'");
        await query(`insert into public.ourvidz_job_types (type, worker, content_type, file_extension, bucket)
                     values ('own_video', 'wan', 'video', 'mp4', 'own_videos'), ('own_image', 'wan', 'image', 'png', 'image_fast')`);
        const rows = await query(
          "select id, file_size_limit::int as size from storage.buckets where id in ('own_videos', 'image_fast') order by id",
        );
        await query("delete from ourvidz.job_types where type like 'own_%'");
        await query("delete from storage.buckets where id = 'own_videos'");
        await query("update storage.buckets set file_size_limit = 52428800 where id = 'image_fast'");
        return rows;
      });
      expect(added).toEqual([
        { id: "image_fast", size: 7 },
        { id: "own_videos", size: 1073741824 },
      ]);
    });

    test("users see the files in their own folders", async () => {
      const { owner, api } = use();
      await owner.query(
        "insert into storage.objects (bucket_id, name) values ('image_fast', $1), ('image_fast', $2) on conflict do nothing",
        [`${ann}/job/0.png`, `anonymous/job/0.png`],
      );
      const names = (caller: Caller) => asCaller(api, caller, (query) => query("select name from storage.objects"));
      expect(await names(user(ann))).toEqual([{ name: `${ann}/job/0.png` }]);
      expect(await names(user(bob))).toEqual([]);
      expect(await names(anonymous)).toEqual([]);
    });
  });
}
