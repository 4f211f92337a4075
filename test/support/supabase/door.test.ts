import { createClient } from "@supabase/supabase-js";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DoorFault, type SupabaseDoor, startSupabaseDoor } from "./door.ts";
import { startPostgres, type TestPostgres } from "./postgres.ts";

const ann = "aaaaaaaa-0000-4000-8000-000000000001";
const bob = "bbbbbbbb-0000-4000-8000-000000000002";

let postgres: TestPostgres;
let door: SupabaseDoor;
let fault: DoorFault | undefined;

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.database.query("insert into auth.users (id) values ($1), ($2)", [ann, bob]);
  door = await startSupabaseDoor({ database: postgres.api, fault: () => fault });
});

afterAll(async () => {
  await door.close();
  await postgres.stop();
});

function client(key: string, token?: string) {
  const headers = token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } };
  return createClient(door.url, key, { auth: { persistSession: false }, global: headers });
}

async function enqueueFor(userId: string): Promise<string> {
  const job = { type: "sdxl_image_fast", prompt: "a lighthouse at dawn", user_id: userId };
  const { data, error } = await client(door.serviceKey).rpc("enqueue_job", { job, options: { source: "supabase" } });
  expect(error).toBeNull();
  return String(data.job_id);
}

describe("the door to the database, through Supabase's own client", () => {
  test.each(["serviceKey", "secretKey"] as const)("lets the %s call what only the service may", async (kind) => {
    const { data, error, status } = await client(door[kind]).rpc("queue_stats");
    expect({ error, status }).toEqual({ error: null, status: 200 });
    expect(Array.isArray(data)).toBe(true);
  });

  test.each(["anonKey", "publishableKey"] as const)("refuses the %s with the status of a visitor", async (kind) => {
    const { error, status } = await client(door[kind]).rpc("queue_stats");
    expect({ code: error?.code, status }).toEqual({ code: "42501", status: 401 });
  });

  test.each([{ legacy: false }, { legacy: true }])("knows a user by a token, %o", async (options) => {
    const jobId = await enqueueFor(ann);
    const own = await client(door.publishableKey, await door.userToken(ann, options))
      .from("ourvidz_jobs")
      .select("id")
      .eq("id", jobId);
    expect(own.data).toEqual([{ id: jobId }]);
    const others = await client(door.anonKey, await door.userToken(bob, options))
      .from("ourvidz_jobs")
      .select("*")
      .eq("id", jobId);
    expect(others.data).toEqual([]);
    const refused = await client(door.anonKey, await door.userToken(bob, options)).rpc("queue_stats");
    expect(refused.status).toBe(403);
  });

  test("refuses wrong keys, expired tokens and requests without a key", async () => {
    expect((await client("sb_secret_wrong").rpc("queue_stats")).status).toBe(401);
    const expired = await door.userToken(ann, { expiresInSeconds: -60 });
    expect((await client(door.anonKey, expired).from("ourvidz_jobs").select()).error?.code).toBe("PGRST301");
    expect((await fetch(`${door.url}/rest/v1/jobs`)).status).toBe(401);
  });

  test("answers users and the keys by which their tokens are checked", async () => {
    const token = await door.userToken(ann);
    const { data } = await client(door.publishableKey).auth.getUser(token);
    expect(data.user?.id).toBe(ann);
    const jwks = createRemoteJWKSet(new URL(`${door.url}/auth/v1/.well-known/jwks.json`));
    expect((await jwtVerify(token, jwks)).payload.sub).toBe(ann);
    const nobody = await door.userToken("cccccccc-0000-4000-8000-000000000003");
    expect((await client(door.publishableKey).auth.getUser(nobody)).error?.status).toBe(403);
  });

  test("answers refusals with their status, sentence and code", async () => {
    const { error, status } = await client(door.serviceKey).rpc("request_cancel", { job_id: crypto.randomUUID() });
    expect(status).toBe(404);
    expect(error).toMatchObject({
      code: "PT404",
      hint: "JOB_NOT_FOUND",
      message: expect.stringContaining("There is no job"),
    });
  });

  test("knows no function or argument that is not there", async () => {
    const unknown = await client(door.serviceKey).rpc("no_such_function");
    expect({ status: unknown.status, code: unknown.error?.code }).toEqual({ status: 404, code: "PGRST202" });
    const argument = await client(door.serviceKey).rpc("get_job", { wrong: 1 });
    expect(argument.error?.code).toBe("PGRST202");
  });

  test("reads tables by filters, in order, and one row as an object", async () => {
    const [first, second] = [await enqueueFor(bob), await enqueueFor(bob)];
    const { data } = await client(door.serviceKey)
      .from("ourvidz_jobs")
      .select("id,type")
      .in("id", [first, second])
      .order("sequence", { ascending: false })
      .limit(1);
    expect(data).toEqual([{ id: second, type: "sdxl_image_fast" }]);
    const one = await client(door.serviceKey).from("ourvidz_jobs").select("status").eq("id", first).single();
    expect(one.data).toEqual({ status: "queued" });
    expect((await client(door.serviceKey).from("ourvidz_jobs").select().eq("id", ann).single()).error?.code).toBe(
      "PGRST116",
    );
    expect((await client(door.serviceKey).from("ourvidz_jobs").select().eq("id", ann).maybeSingle()).data).toBeNull();
  });

  test("can cut a connection before a call, and after it", async () => {
    const id = crypto.randomUUID();
    const call = () =>
      client(door.serviceKey).rpc("enqueue_job", {
        job: { id, type: "chat", prompt: "a pond" },
        options: { source: "supabase" },
      });
    const isThere = async () =>
      (await postgres.database.query("select 1 from ourvidz.jobs where id = $1", [id])).length === 1;
    for (const [kind, applied] of [
      ["drop", false],
      ["lose", true],
    ] as const) {
      fault = kind;
      const { error } = await call();
      fault = undefined;
      expect(error?.message).toContain("fetch failed");
      expect(await isThere()).toBe(applied);
    }
  });
});
