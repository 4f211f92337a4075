import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { z } from "zod";
import { createKeys, defaultPrefix } from "#contract/queue-keys.ts";
import type { TestGateway } from "#test/support/gateway.ts";

/*
 * For tests: a container of the version before offers, ends and runs, by the scripts that it brought along. They are in
 * `former-scripts/`, each with its includes in place, and are not to be changed.
 */
export interface FormerLease {
  readonly jobId: string;
  readonly token: string;
  readonly attempt: number;
}

const settled = z.tuple([z.unknown(), z.array(z.coerce.number())]);
const lease = z.tuple([z.coerce.string(), z.string(), z.coerce.string(), z.coerce.number()]).rest(z.unknown());
const taken = z.tuple([z.unknown(), z.unknown(), z.unknown(), z.unknown(), z.array(lease), z.array(z.unknown())]);
const names = ["take", "complete", "retry", "release"] as const;

const scripts = new Map(
  names.map((name) => [name, readFileSync(new URL(`former-scripts/${name}.lua`, import.meta.url), "utf8")]),
);

export class FormerContainer {
  readonly #gateway: TestGateway;
  readonly #keys = createKeys({ prefix: defaultPrefix, lists: {} });

  constructor(gateway: TestGateway) {
    this.#gateway = gateway;
  }

  async take(worker: string, slots: number): Promise<FormerLease[]> {
    const { jobPrefix, readyPrefix, timetable, index, deadLetters } = this.#keys;
    const { list, side } = this.#keys.producersList(worker);
    const [ready, turns] = [this.#keys.ready(worker), this.#keys.turns(worker)];
    const request = {
      jobPrefix,
      readyPrefix,
      leaseMs: 30_000,
      keepSeconds: 604_800,
      workerId: "former",
      ticket: randomBytes(9).toString("base64url"),
      unanswered: [],
      known: [],
      workers: [{ worker, slots, held: [], list, side: side.toUpperCase(), ready, turns }],
    };
    const answer = await this.#run("take", [timetable, index, deadLetters, list, ready, turns], [request]);
    return taken.parse(answer)[4].map(([jobId, , token, attempt]) => ({ jobId, token, attempt }));
  }

  /** Whether the lease was still the job's. */
  async settle(call: "complete" | "retry" | "release", { jobId, token }: FormerLease): Promise<boolean> {
    const { jobPrefix, readyPrefix, timetable, events: channel } = this.#keys;
    const settings = { jobPrefix, readyPrefix, keepSeconds: 604_800, now: Date.now(), channel, origin: "former" };
    const error = JSON.stringify({ code: "HANDLER_FAILED", message: "the scheduler refused 0 steps" });
    const endings = {
      complete: JSON.stringify({ assets: [], metadata: {} }),
      retry: JSON.stringify({ error, delayMs: 0 }),
      release: "",
    };
    const answer = await this.#run(call, [timetable], [settings, jobId, token, endings[call]]);
    return settled.parse(answer)[1][0] === 1;
  }

  #run(name: (typeof names)[number], keys: string[], args: readonly unknown[]): Promise<unknown> {
    const texts = args.map((arg) => (typeof arg === "string" ? arg : JSON.stringify(arg)));
    return this.#gateway.client().eval(scripts.get(name) ?? "", keys, texts);
  }
}
