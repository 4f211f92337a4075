import { once } from "node:events";
import { createServer } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeRegistrar } from "#test/conformance/registrars.ts";
import { startProject, type TestProject } from "#test/support/supabase/project.ts";
import { EdgeRegistrar } from "./edge-registrar.ts";

/* The registrar with the real edge function in Deno, and the real table behind it. */
let project: TestProject;
let url: string;
let healthy = true;
const container = createServer((_request, response) => {
  if (healthy) response.end('{"status":"healthy"}');
  else response.writeHead(503).end();
});

beforeAll(async () => {
  project = await startProject({ queue: false, newKeys: true, env: { WORKER_HOSTS_ALLOWED: "127.0.0.1" } });
  container.listen(0, "127.0.0.1");
  await once(container, "listening");
  const address = container.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}, 120_000);
afterAll(async () => {
  container.closeAllConnections();
  container.close();
  await project.stop();
});

const registrar = (serviceKey = project.door.secretKey) =>
  new EdgeRegistrar({ project: { url: project.door.url, serviceKey }, nowMs: Date.now });

describeRegistrar("update-worker-url in Deno", async () => {
  await project.database.query("delete from ourvidz.workers");
  return {
    registrar: registrar(),
    url,
    async find(workerId) {
      const [row] = await project.database.query(
        "select url, status, capabilities, version from ourvidz.workers where worker_id = $1",
        [workerId],
      );
      if (row === undefined) return null;
      const capabilities = Array.isArray(row.capabilities) ? row.capabilities.map(String) : [];
      return { url: String(row.url), status: String(row.status), capabilities, version: String(row.version) };
    },
    setAway(away) {
      project.faults.door = away ? () => "drop" : undefined;
    },
    close: async () => undefined,
  };
});

const facts = {
  workerId: "pod-1",
  detectionMethod: "PUBLIC_URL",
  capabilities: ["sdxl"],
  jobTypes: [],
  version: "1.2.3",
} as const;
const { signal } = new AbortController();

it("refuses a key that is not the project's, and an address at which no container answers", async () => {
  await expect(registrar("sb_secret_wrong").register({ ...facts, url }, signal)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
  healthy = false;
  await expect(registrar().register({ ...facts, url }, signal)).rejects.toMatchObject({
    code: "REGISTRATION_FAILED",
    message: expect.stringContaining("/health answered 503"),
  });
});
