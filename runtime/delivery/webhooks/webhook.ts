import type { CallbackAsset, JobCallback } from "#contract/callback.ts";
import { RetryableError } from "#contract/errors.ts";
import { signCallback } from "#contract/signature.ts";
import type { WebhookConfig } from "#runtime/container/supabase-config.ts";
import { AddressGuard, shownUrl } from "#runtime/inputs/address-guard.ts";
import { addressesOf, openConnection } from "#runtime/inputs/guarded-connection.ts";
import { type Network, systemNetwork } from "#runtime/inputs/network.ts";
import { describe } from "#runtime/inputs/request.ts";
import { type BoundedResponse, boundedRequest } from "#runtime/lib/bounded-request.ts";
import { refusalOf } from "../callbacks/refusal.ts";

/*
 * The address in a job's `webhook_url`, to which its end is reported. Whoever sends jobs chooses it, so that it is guarded as
 * reference files are: https, a public address, resolved once, no redirect followed.
 */
export interface WebhookOptions {
  readonly config: WebhookConfig;
  readonly nowMs: () => number;
  /** The address at which a stored file can be read for a while; null when there is none. */
  fileAddress(bucket: string, path: string): Promise<string | null>;
  readonly network?: Network;
  /** Addresses of an emulated endpoint's jobs are called as they stand: in the emulator, whose own callers have chosen them. */
  readonly trustsEmulated?: boolean;
}

/** An answer is an acknowledgement, not work. */
const limitMs = 15_000;
const headers = { "content-type": "application/json", "user-agent": "ourvidz-worker" };

export class Webhook {
  readonly #options: WebhookOptions;
  readonly #guard: AddressGuard;

  constructor(options: WebhookOptions) {
    this.#options = options;
    this.#guard = new AddressGuard({
      allowedHosts: options.config.allowedHosts,
      projectUrl: null,
      words: {
        code: "WEBHOOK_REFUSED",
        what: "webhook",
        variable: "WEBHOOK_HOSTS_ALLOWED",
        otherWay: "is no way to send one. Use a public https address",
        example: "https://app.example/jobs/ended",
      },
    });
  }

  /** As far as can be known before its host is resolved. @throws PermanentError WEBHOOK_REFUSED */
  check(url: string): void {
    this.#guard.check(url);
  }

  /**
   * @param bucket where the job's files are
   * @throws as `sendBody` does
   */
  async send(url: string, callback: JobCallback, bucket: string, signal: AbortSignal): Promise<void> {
    this.#guard.check(url);
    const assets = await Promise.all(callback.assets.map((asset) => this.#withAddress(asset, bucket)));
    await this.sendBody(url, { ...callback, assets }, signal);
  }

  /**
   * A body of another form, as JSON.
   * @param isEmulated it came with a request at an emulated endpoint
   * @throws PermanentError WEBHOOK_REFUSED, JOB_NOT_FOUND; RetryableError WEBHOOK_UNREACHABLE, WEBHOOK_REFUSED
   */
  async sendBody(url: string, body: object, signal: AbortSignal, { isEmulated = false } = {}): Promise<void> {
    const target = isEmulated && this.#options.trustsEmulated === true ? null : this.#guard.check(url);
    const bytes = Buffer.from(JSON.stringify(body));
    const answer = await (target === null ? this.#postAnywhere(url, bytes, signal) : this.#post(target, bytes, signal));
    if (answer.status >= 200 && answer.status < 300) return;
    throw refusalOf(answer, { ...words, endpoint: shownUrl(new URL(url)) }, this.#options.nowMs());
  }

  async #postAnywhere(url: string, body: Uint8Array, signal: AbortSignal): Promise<BoundedResponse> {
    try {
      return await boundedRequest({ method: "POST", url, headers, body, signal, idleMs: limitMs, limitMs });
    } catch (cause) {
      throw unreachable(new URL(url), cause);
    }
  }

  async #withAddress(asset: CallbackAsset, bucket: string) {
    return { ...asset, signed_url: await this.#options.fileAddress(bucket, asset.url) };
  }

  async #post(
    target: ReturnType<AddressGuard["check"]>,
    body: Uint8Array,
    caller: AbortSignal,
  ): Promise<BoundedResponse> {
    const { config, nowMs, network = systemNetwork } = this.#options;
    const signal = AbortSignal.any([caller, AbortSignal.timeout(limitMs)]);
    const signatures = config.secret === null ? {} : await signCallback(config.secret, body, nowMs());
    const addresses = await addressesOf(target.url, network, signal).catch((cause: unknown) => {
      throw unreachable(target.url, cause);
    });
    this.#guard.checkAddresses(target, addresses);
    try {
      return await boundedRequest({
        method: "POST",
        url: target.url.href,
        headers: {
          ...headers,
          // Without an agent, the usual port would be part of it.
          host: target.url.host,
          ...signatures,
        },
        body,
        signal,
        idleMs: limitMs,
        limitMs,
        connect: () => openConnection(target.url, addresses, network),
      });
    } catch (cause) {
      throw unreachable(target.url, cause);
    }
  }
}

const words = {
  what: "webhook",
  unreachable: "WEBHOOK_UNREACHABLE",
  refused: "WEBHOOK_REFUSED",
  accessAdvice: "let it check the signature that WEBHOOK_SECRET makes, and no other key",
  advice: "name the address itself, to which a POST is answered with 200",
} as const;

function unreachable(url: URL, cause: unknown): RetryableError {
  const why = describe(cause).replace(/\.$/, "");
  return new RetryableError(`The webhook ${shownUrl(url)} cannot be reached: ${why}.`, {
    code: "WEBHOOK_UNREACHABLE",
    cause,
  });
}
