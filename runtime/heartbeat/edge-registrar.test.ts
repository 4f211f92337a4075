import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeRegistrar } from "#test/conformance/registrars.ts";
import { EdgeRegistrar } from "./edge-registrar.ts";
import type { ContainerFacts } from "./registrar.ts";
import { type RegistrationService, startRegistrationService } from "./testing/registration-service.ts";

describeRegistrar("the edge function update-worker-url", async () => {
  const service = await startRegistrationService();
  return {
    registrar: new EdgeRegistrar({ project: service, nowMs: Date.now }),
    url: "https://pod-1-7860.proxy.example",
    async find(workerId) {
      const known = service.containers.get(workerId);
      if (known === undefined) return null;
      const { worker_url: url, status, capabilities, version } = known;
      return { url, status, capabilities, version };
    },
    setAway(away) {
      service.fault = away ? (response) => response.destroy() : null;
    },
    close: () => service.close(),
  };
});

describe("a registration", () => {
  const container: ContainerFacts = {
    workerId: "pod-1",
    url: "https://pod-1-7860.proxy.example",
    detectionMethod: "RUNPOD_POD_ID",
    capabilities: ["sdxl"],
    version: "1.2.3",
    jobTypes: [
      { type: "tide", worker: "media", content_type: "image", bucket: "tide", parameters: { type: "object" } },
    ],
  };
  const { signal } = new AbortController();
  const nowMs = () => Date.UTC(2026, 0, 2, 3, 4, 5);
  let service: RegistrationService;
  beforeEach(async () => {
    service = await startRegistrationService();
  });
  afterEach(() => service.close());

  const failure = async (key = service.serviceKey, limitMs = 20_000): Promise<string> => {
    const registrar = new EdgeRegistrar({ project: { url: service.url, serviceKey: key }, nowMs, limitMs });
    const error: unknown = await registrar.register(container, signal).catch((thrown: unknown) => thrown);
    return error instanceof Error && "code" in error ? `${error.code}: ${error.message}` : `no error: ${error}`;
  };

  it.each(["serviceKey", "secretKey"] as const)(
    "has the documented body, and shows the %s as it is meant",
    async (key) => {
      const registrar = new EdgeRegistrar({ project: { url: service.url, serviceKey: service[key] }, nowMs });
      await registrar.register(container, signal);
      expect(service.containers.get("pod-1")).toEqual({
        worker_url: "https://pod-1-7860.proxy.example",
        worker_id: "pod-1",
        auto_registered: true,
        registration_method: "self",
        detection_method: "RUNPOD_POD_ID",
        timestamp: "2026-01-02T03:04:05.000Z",
        status: "active",
        capabilities: ["sdxl"],
        job_types: container.jobTypes,
        version: "1.2.3",
      });
    },
  );

  it("with a wrong key says which setting is wrong, and not what it is", async () => {
    const message = await failure("sb_secret_wrong");
    expect(message).toMatch(/^CONFIG_INVALID: .*SUPABASE_SERVICE_KEY/);
    expect(message).not.toContain("sb_secret_wrong");
  });

  it("at a project without the function says how to deploy it", async () => {
    service.fault = (response) => response.writeHead(404).end('{"code":"NOT_FOUND","message":"no function"}');
    expect(await failure()).toMatch(/^REGISTRATION_FAILED: .*supabase functions deploy update-worker-url/);
  });

  it("that is refused repeats the reason", async () => {
    service.fault = (response) =>
      response.writeHead(502).end('{"success":false,"error":"pod-1/health answered 404","code":"WORKER_UNREACHABLE"}');
    expect(await failure()).toBe("REGISTRATION_FAILED: update-worker-url answered 502: pod-1/health answered 404");
  });

  it("does not follow a redirect with its key", async () => {
    service.fault = (response) => response.writeHead(307, { location: `${service.url}/elsewhere` }).end();
    expect(await failure()).toBe("REGISTRATION_FAILED: update-worker-url answered 307");
    expect(service.answers).toEqual([307]);
  });

  it("is given up when no answer comes", async () => {
    service.fault = () => undefined;
    expect(await failure(service.serviceKey, 100)).toMatch(/^REGISTRATION_FAILED: .*cannot be reached/);
  });
});
