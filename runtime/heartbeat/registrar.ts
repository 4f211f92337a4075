import type { RegisteredType } from "#contract/registration.ts";

/** A container as whoever looks for one has to know it. */
export interface ContainerFacts {
  readonly workerId: string;
  /** Where it is reached from outside, without a slash at the end. */
  readonly url: string;
  readonly detectionMethod: DetectionMethod;
  /** Workers and job types that it runs. */
  readonly capabilities: readonly string[];
  readonly version: string;
  /** Job types of the deployment's own, so that the app takes jobs for them. */
  readonly jobTypes: readonly RegisteredType[];
}

/** The setting that gave the address. */
export type DetectionMethod = "PUBLIC_URL" | "RUNPOD_POD_ID";

/**
 * Where a container makes its public address known, so that the app finds it. The embedded container has none: nobody
 * looks for it.
 */
export interface Registrar {
  readonly name: string;
  /**
   * Registers the container, or renews its registration. May be repeated at any time, after `deregister` too.
   * @throws CodedError REGISTRATION_FAILED, CONFIG_INVALID (the key is refused); the signal's reason when it is aborted
   */
  register(container: ContainerFacts, signal: AbortSignal): Promise<void>;
  /** Deregisters it. May be repeated, and called for a container that was never registered. Throws as above. */
  deregister(container: ContainerFacts, signal: AbortSignal): Promise<void>;
}
