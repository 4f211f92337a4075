import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ContainerFacts, Registrar } from "#runtime/heartbeat/registrar.ts";

/** A registry that nobody is in, and the way to it. */
export interface RegistrarHarness {
  readonly registrar: Registrar;
  /** An address at which a container of this test is reached. */
  readonly url: string;
  /** What is known of this container; null when nothing is. */
  find(workerId: string): Promise<KnownContainer | null>;
  /** While it is away, nobody answers there. */
  setAway(away: boolean): void;
  close(): Promise<void>;
}

export interface KnownContainer {
  readonly url: string;
  readonly status: string;
  readonly capabilities: readonly string[];
  readonly version: string | null;
}

/** The tests that every registrar passes: the contract of registrar.ts, sentence by sentence. */
export function describeRegistrar(name: string, factory: () => Promise<RegistrarHarness>): void {
  describe(`${name}, as a registrar`, () => {
    let harness: RegistrarHarness;
    let container: ContainerFacts;
    const { signal } = new AbortController();

    beforeEach(async () => {
      harness = await factory();
      container = {
        workerId: "pod-1",
        url: harness.url,
        detectionMethod: "PUBLIC_URL",
        capabilities: ["sdxl", "sdxl_image_fast"],
        version: "1.2.3",
        jobTypes: [],
      };
    });
    afterEach(() => harness.close());

    it("makes a container known, with all that is said of it", async () => {
      expect(await harness.find("pod-1")).toBeNull();
      await harness.registrar.register(container, signal);
      expect(await harness.find("pod-1")).toEqual({
        url: harness.url,
        status: "active",
        capabilities: ["sdxl", "sdxl_image_fast"],
        version: "1.2.3",
      });
    });

    it("takes the last word of a container that registers again", async () => {
      await harness.registrar.register(container, signal);
      await harness.registrar.register({ ...container, capabilities: ["chat"], version: "2.0.0" }, signal);
      expect(await harness.find("pod-1")).toMatchObject({ capabilities: ["chat"], version: "2.0.0", status: "active" });
    });

    it("lets a container go, and come back", async () => {
      await harness.registrar.register(container, signal);
      await harness.registrar.deregister(container, signal);
      expect(await harness.find("pod-1")).toMatchObject({ status: "stopped" });
      await harness.registrar.deregister(container, signal);
      await harness.registrar.register(container, signal);
      expect(await harness.find("pod-1")).toMatchObject({ status: "active" });
    });

    it("does not mind a container going that it never knew", async () => {
      await harness.registrar.deregister(container, signal);
      expect((await harness.find("pod-1"))?.status ?? "stopped").toBe("stopped");
    });

    it("keeps containers apart", async () => {
      await harness.registrar.register(container, signal);
      await harness.registrar.register({ ...container, workerId: "pod-2" }, signal);
      await harness.registrar.deregister(container, signal);
      expect(await harness.find("pod-2")).toMatchObject({ status: "active" });
    });

    it("says that it failed while the registry is away, and works when it is back", async () => {
      harness.setAway(true);
      await expect(harness.registrar.register(container, signal)).rejects.toMatchObject({
        code: "REGISTRATION_FAILED",
      });
      await expect(harness.registrar.deregister(container, signal)).rejects.toMatchObject({
        code: "REGISTRATION_FAILED",
      });
      harness.setAway(false);
      await harness.registrar.register(container, signal);
      expect(await harness.find("pod-1")).toMatchObject({ status: "active" });
    });

    it("stops when it is told to", async () => {
      const stop = new AbortController();
      const registered = harness.registrar.register(container, stop.signal);
      stop.abort(new Error("enough"));
      await expect(registered).rejects.toThrow("enough");
    });
  });
}
