import { randomUUID } from "node:crypto";
import { decodeJwt } from "jose";
import { z } from "zod";
import type { Faults } from "#gateway/faults.ts";
import { createUpstashSource, type UpstashSource } from "#runtime/sources/upstash/upstash-source.ts";
import { startTestGateway, type TestGateway } from "../gateway.ts";
import { freePort } from "../machine.ts";
import type { TestDatabase } from "./database.ts";
import { type DoorFault, type SupabaseDoor, startSupabaseDoor } from "./door.ts";
import { type EdgeFunctions, startEdgeFunctions } from "./edge.ts";
import { makeProjectKeys, type ProjectKeys, type TokenOptions } from "./keys.ts";
import { startPostgres } from "./postgres.ts";
import { type StorageBucket, type StorageServer, startStorageServer } from "./storage-server.ts";

/** A whole app's side: PostgreSQL behind its REST API, Redis behind its own, and the edge functions in Deno. */
export interface TestProject {
  readonly door: SupabaseDoor;
  readonly database: TestDatabase;
  readonly gateway: TestGateway;
  /** The project's storage, with the buckets of its database. */
  readonly storage: StorageServer;
  readonly functions: EdgeFunctions;
  readonly callbackSecret: string;
  /** What goes wrong from now on: at the database's API, and at the queue's. */
  readonly faults: { door: ((path: string) => DoorFault | undefined) | undefined; queue: Faults | undefined };
  /** A signed-in user of the app. */
  addUser(options?: TokenOptions): Promise<TestUser>;
  /** A request to a function, through the door. */
  call(name: string, request?: FunctionRequest): Promise<FunctionAnswer>;
  /** A container's view of the queue. */
  container(): UpstashSource;
  /** Lets all that waits in the outbox be due now. */
  ageOutbox(): Promise<void>;
  /** Forgets jobs and queues. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestUser {
  readonly id: string;
  readonly token: string;
  /** As an app sends them: the project's key for browsers and the user's token. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface FunctionRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is when it is bytes or text, else as JSON. */
  readonly body?: unknown;
  readonly query?: string;
}

export interface FunctionAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ProjectOptions {
  /** Added to the functions' environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Off: containers claim their jobs from the database. */
  readonly queue?: boolean;
  /** Only the new kind of keys. */
  readonly newKeys?: boolean;
}

export const callbackSecret = "the secret that callbacks are signed with";
export const workerKey = "the-key-that-opens-the-containers";

export async function startProject({ env, queue = true, newKeys = false }: ProjectOptions = {}): Promise<TestProject> {
  const faults: TestProject["faults"] = { door: undefined, queue: undefined };
  const [postgres, gateway, keys, port] = await Promise.all([
    startPostgres(),
    startTestGateway({ faults: (request) => faults.queue?.(request) }),
    makeProjectKeys(),
    freePort(),
  ]);
  const storage = await startStorageServer({ keys, buckets: (id) => findBucket(postgres.database, id) });
  const door = await startSupabaseDoor({
    database: postgres.api,
    keys,
    storage: (request, response) => void storage.handle(request, response),
    functions: `http://127.0.0.1:${port}`,
    fault: (path) => faults.door?.(path),
  });
  const functions = await startEdgeFunctions({
    port,
    env: {
      SUPABASE_URL: door.url,
      ...(newKeys ? newKeysOf(keys) : oldKeysOf(keys)),
      AUTH_ISSUERS: await issuerOf(keys),
      ...(queue ? { UPSTASH_REDIS_REST_URL: gateway.url, UPSTASH_REDIS_REST_TOKEN: gateway.token } : {}),
      JOB_CALLBACK_SECRET: callbackSecret,
      WAN_WORKER_API_KEY: workerKey,
      ...env,
    },
  });
  const open = new Set<UpstashSource>();
  const { database } = postgres;
  return {
    door,
    database,
    gateway,
    storage,
    functions,
    callbackSecret,
    faults,
    async addUser(options) {
      const id = randomUUID();
      await database.query("insert into auth.users (id, email) values ($1, $2)", [id, `${id}@example.com`]);
      const token = await keys.userToken(id, options);
      const apikey = newKeys ? keys.publishableKey : keys.anonKey;
      return { id, token, headers: { apikey, Authorization: `Bearer ${token}` } };
    },
    call: (name, request) => call(`${door.url}/functions/v1/${name}`, request),
    container() {
      const source = createUpstashSource({ url: gateway.url, token: gateway.token, workerId: "container-1" });
      open.add(source);
      return source;
    },
    async ageOutbox() {
      const earlier = "now() - interval '1 hour'";
      await database.query(`update ourvidz.queue_outbox set created_at = ${earlier}, next_try_at = ${earlier}`);
    },
    async reset() {
      Object.assign(faults, { door: undefined, queue: undefined });
      await database.query("delete from ourvidz.jobs");
      await gateway.client().flushall();
    },
    async stop() {
      await Promise.all([...open].map((source) => source.close()));
      await functions.kill();
      await door.close();
      await Promise.all([gateway.close(), storage.close(), postgres.stop()]);
    },
  };
}

async function findBucket(database: TestDatabase, id: string): Promise<StorageBucket | null> {
  const [row] = await database.query(
    `select id, public, file_size_limit::float8 as "fileSizeLimit", allowed_mime_types as "allowedMimeTypes"
       from storage.buckets where id = $1`,
    [id],
  );
  return row === undefined ? null : bucketRow.parse(row);
}

const bucketRow = z.object({
  id: z.string(),
  public: z.boolean(),
  fileSizeLimit: z.number().nullable(),
  allowedMimeTypes: z.array(z.string()).nullable(),
});

function oldKeysOf({ anonKey, serviceKey }: ProjectKeys): Record<string, string> {
  return { SUPABASE_ANON_KEY: anonKey, SUPABASE_SERVICE_ROLE_KEY: serviceKey };
}

function newKeysOf({ publishableKey, secretKey }: ProjectKeys): Record<string, string> {
  return {
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: secretKey }),
  };
}

async function issuerOf(keys: ProjectKeys): Promise<string> {
  return decodeJwt(await keys.userToken(randomUUID())).iss ?? "";
}

async function call(url: string, request: FunctionRequest = {}): Promise<FunctionAnswer> {
  const { method = request.body === undefined ? "GET" : "POST", headers, body, query = "" } = request;
  const isRaw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(`${url}${query}`, {
    method,
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: isRaw ? (body ?? null) : JSON.stringify(body),
  });
  const text = await response.text();
  const parsed: unknown = text === "" ? {} : JSON.parse(text);
  return { status: response.status, headers: response.headers, body: Object.assign({}, parsed) };
}
