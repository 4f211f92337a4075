import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";

/*
 * The other side of a registration, held to what is documented: the body has these keys and no others, the key is the
 * project's in one of its two forms. A container whose request is valid is kept in a table, as the app keeps it.
 */
const body = z.strictObject({
  worker_url: z.url({ protocol: /^https?$/ }),
  worker_id: z.string().min(1),
  auto_registered: z.literal(true),
  registration_method: z.string().min(1),
  detection_method: z.enum(["PUBLIC_URL", "RUNPOD_POD_ID"]),
  timestamp: z.iso.datetime(),
  status: z.enum(["active", "stopped"]),
  capabilities: z.array(z.string()).min(1),
  job_types: z.array(
    z.strictObject({
      type: z.string(),
      worker: z.string(),
      content_type: z.enum(["image", "video", "text", "nothing"]),
      bucket: z.string(),
      parameters: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
  version: z.string().min(1),
});
export type RegisteredContainer = z.output<typeof body>;

export interface RegistrationService {
  readonly url: string;
  readonly serviceKey: string;
  readonly secretKey: string;
  /** The last report of each container. */
  readonly containers: ReadonlyMap<string, RegisteredContainer>;
  /** Statuses of its answers. */
  readonly answers: readonly number[];
  /** What it does instead of answering, until it is set to null again. */
  fault: ((response: ServerResponse) => void) | null;
  /** Resolves when it has given so many answers in all. */
  answered(count: number): Promise<void>;
  close(): Promise<void>;
}

const serviceKey = ["eyJhbGciOiJIUzI1NiJ9", "eyJyb2xlIjoic2VydmljZV9yb2xlIn0", "c2lnbmF0dXJl"].join(".");
const secretKey = "sb_secret_for_tests_only";

export async function startRegistrationService(): Promise<RegistrationService> {
  const containers = new Map<string, RegisteredContainer>();
  const answers: number[] = [];
  const waiting = new Set<() => void>();
  const server = createServer((request, response) => {
    response.once("close", () => {
      answers.push(response.writableFinished ? response.statusCode : 0);
      for (const look of waiting) look();
    });
    if (service.fault !== null) service.fault(response);
    else void answer(request, response, containers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const service: RegistrationService = {
    url: `http://127.0.0.1:${address.port}`,
    serviceKey,
    secretKey,
    containers,
    answers,
    fault: null,
    answered(count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = () => {
        if (answers.length >= count) resolve();
      };
      waiting.add(look);
      look();
      return promise.finally(() => waiting.delete(look));
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return service;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  containers: Map<string, RegisteredContainer>,
): Promise<void> {
  const send = (status: number, value: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  const content = await text(request);
  const refuse = (status: number, code: string, error: string) => send(status, { success: false, error, code });
  if (request.url !== "/functions/v1/update-worker-url")
    return void send(404, { code: "NOT_FOUND", message: "no function" });
  if (request.method !== "POST") return void refuse(405, "METHOD_NOT_ALLOWED", "Use POST.");
  if (!hasKey(request)) return void refuse(401, "UNAUTHORIZED", "This key is not the project's.");
  if (request.headers["content-type"] !== "application/json")
    return void refuse(415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON.");
  const parsed = body.safeParse(JSON.parse(content));
  if (!parsed.success) return void refuse(400, "INVALID_REQUEST", z.prettifyError(parsed.error));
  containers.set(parsed.data.worker_id, parsed.data);
  send(200, { success: true });
}

/** A JWT comes as the bearer; a secret key is none, and is refused as one. */
function hasKey({ headers }: IncomingMessage): boolean {
  if (headers.authorization === undefined) return headers.apikey === secretKey;
  return headers.authorization === `Bearer ${serviceKey}`;
}
