import { z } from "zod";
import type { QueueAddress } from "#contract/edge/connect-queue.ts";
import { numberFrom, wholeNumberFrom } from "#contract/fields.ts";
import { commaSeparated, headerSecret } from "#runtime/lib/environment.ts";
import { queueName } from "../job-source.ts";
import { defineSource, missingBeside } from "../source-definition.ts";
import type { Transport } from "./rest-client.ts";

/** `left`, `right`, or one for each queue: `sdxl_queue=left,wan_queue=right`. */
const popSides = z
  .string()
  .default("")
  .transform((text, context) => {
    const sides: Record<string, "left" | "right"> = {};
    for (const part of commaSeparated(text)) {
      const [, queue = "*", side] = /^(?:([a-z0-9_]+)=)?(left|right)$/.exec(part) ?? [];
      if (side === "left" || side === "right") sides[queue] = side;
      else
        context.addIssue({
          code: "custom",
          message: "must be left, right, or a list such as sdxl_queue=left,wan_queue=right",
        });
    }
    return sides;
  });

const environment = {
  UPSTASH_REDIS_REST_URL: z
    .url({ protocol: /^https?$/, error: "must be the https address of the database's REST API" })
    .optional(),
  UPSTASH_REDIS_REST_TOKEN: headerSecret.optional(),
  UPSTASH_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9:_-]{1,64}$/, "must be 1 to 64 letters, digits, ':', '_' or '-'")
    .default("ourvidz"),
  UPSTASH_EVENTS: z.enum(["on", "off"]).default("on"),
  UPSTASH_POP_SIDE: popSides,
  UPSTASH_LEASE_SECONDS: numberFrom(1, 3600).default(90),
  UPSTASH_MAX_WAITING_PER_USER: wholeNumberFrom(0, 1_000_000).default(0),
};

/** Under load the next take comes within this time, and the settling goes with it. */
const settleMaxDelayMs = 4;

/** Redis over Upstash's REST API, or over the gateway in front of any other. */
export const upstash = defineSource({
  name: "upstash",
  environment,
  secrets: ["UPSTASH_REDIS_REST_TOKEN"],
  needs: ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"],
  usedWhenConfigured: true,
  description: "the queue on Redis; the default where UPSTASH_REDIS_REST_URL is set and --data is not given",
  problems: (values) => missingBeside(values, "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
  settings(values, { workerId }) {
    const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = values;
    if (url === undefined || token === undefined) return null;
    return {
      popSides: values.UPSTASH_POP_SIDE,
      options: {
        url,
        token,
        workerId,
        prefix: values.UPSTASH_PREFIX,
        events: values.UPSTASH_EVENTS === "on",
        leaseSeconds: values.UPSTASH_LEASE_SECONDS,
        maxWaitingPerUser: values.UPSTASH_MAX_WAITING_PER_USER,
        settleMaxDelayMs,
      },
    };
  },
  async connect({ options, popSides }, { workers, log }) {
    const { createUpstashSource } = await import("./upstash-source.ts");
    const lists = workers.flatMap((worker) => {
      const side = popSides[queueName(worker)] ?? popSides["*"];
      return side === undefined ? [] : [[worker, { side }] as const];
    });
    const source = createUpstashSource({
      ...options,
      transport: workers.length > 0 ? undefined : await producersTransport(options),
      workers,
      lists: Object.fromEntries(lists),
      ...(log ? { log } : {}),
    });
    if (workers.length > 0) source.watchServer();
    return {
      source,
      queue: source,
      sessions: source.sessions,
      paid: source,
      problems: () => source.problems,
      trouble: () => source.trouble,
      undecodable: {
        get count() {
          return source.undecodable;
        },
        get repeated() {
          return source.repeated;
        },
        list: (limit) => source.deadLetters(limit),
        discard: (worker, id, signal) => source.discardDeadLetters(worker, id, signal),
      },
    };
  },
  probe: {
    name: "queue",
    run: async ({ options }) => (await import("./probe.ts")).probeUpstash(options),
  },
});

/** A command that runs nothing sends what it sends as any producer does. */
async function producersTransport(address: QueueAddress): Promise<Transport> {
  return new (await import("./client-transport.ts")).ClientTransport(address);
}
