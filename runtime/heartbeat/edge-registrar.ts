import { z } from "zod";
import { CodedError } from "#contract/errors.ts";
import type { Registration } from "#contract/registration.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import { type BoundedResponse, boundedRequest } from "#runtime/lib/bounded-request.ts";
import { serviceHeaders } from "#runtime/lib/service-headers.ts";
import type { ContainerFacts, Registrar } from "./registrar.ts";

export interface EdgeRegistrarOptions {
  readonly project: SupabaseConfig;
  readonly nowMs: () => number;
  /** Longer than the function's own check of the container's health. */
  readonly limitMs?: number;
}

const refusalBody = z.looseObject({ error: z.string() });
const maxReasonCharacters = 300;

/** Registers with the app's edge function `update-worker-url`. */
export class EdgeRegistrar implements Registrar {
  readonly name = "update-worker-url";
  readonly #options: EdgeRegistrarOptions;

  constructor(options: EdgeRegistrarOptions) {
    this.#options = options;
  }

  register(container: ContainerFacts, signal: AbortSignal): Promise<void> {
    return this.#send(container, "active", signal);
  }

  deregister(container: ContainerFacts, signal: AbortSignal): Promise<void> {
    return this.#send(container, "stopped", signal);
  }

  /**
   * Whether registrations would be taken, without making one: a function that is there and knows the key refuses an empty
   * one for what is missing.
   */
  async check(signal: AbortSignal): Promise<void> {
    const answer = await this.#post(Buffer.from("{}"), signal);
    if (answer.status !== 400 && answer.status !== 422) throw refusal(answer);
  }

  async #send(container: ContainerFacts, status: Registration["status"], signal: AbortSignal): Promise<void> {
    const body: Registration = {
      worker_url: container.url,
      worker_id: container.workerId,
      auto_registered: true,
      registration_method: "self",
      detection_method: container.detectionMethod,
      timestamp: new Date(this.#options.nowMs()).toISOString(),
      status,
      capabilities: [...container.capabilities],
      job_types: status === "active" ? [...container.jobTypes] : [],
      version: container.version,
    };
    const answer = await this.#post(Buffer.from(JSON.stringify(body)), signal);
    if (answer.status >= 200 && answer.status < 300) return;
    throw refusal(answer);
  }

  async #post(body: Buffer, signal: AbortSignal): Promise<BoundedResponse> {
    const { project, limitMs = 20_000 } = this.#options;
    const url = `${project.url}/functions/v1/update-worker-url`;
    try {
      return await boundedRequest({
        method: "POST",
        url,
        headers: {
          ...serviceHeaders(project.serviceKey),
          "content-type": "application/json",
          "content-length": body.byteLength,
        },
        body,
        signal,
        idleMs: limitMs,
        limitMs,
      });
    } catch (cause) {
      signal.throwIfAborted();
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CodedError("REGISTRATION_FAILED", `${url} cannot be reached: ${why}.`, { cause });
    }
  }
}

function refusal({ status, text }: BoundedResponse): CodedError {
  if (status === 401 || status === 403) {
    return new CodedError(
      "CONFIG_INVALID",
      `The project refuses the key of this container (${status}): set SUPABASE_SERVICE_KEY to the project's service_role or secret key.`,
    );
  }
  const reason = reasonOf(text);
  if (status === 404 && reason === null) {
    return new CodedError(
      "REGISTRATION_FAILED",
      "The project has no edge function update-worker-url: deploy it with: supabase functions deploy update-worker-url",
    );
  }
  return new CodedError(
    "REGISTRATION_FAILED",
    `update-worker-url answered ${status}${reason === null ? "" : `: ${reason}`}`,
  );
}

/** The message of an edge function of ours; null when something else answered. */
function reasonOf(text: string): string | null {
  try {
    return refusalBody.parse(JSON.parse(text)).error.slice(0, maxReasonCharacters);
  } catch {
    return null;
  }
}
