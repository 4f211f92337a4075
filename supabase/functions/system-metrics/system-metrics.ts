import { z } from "zod";
import { defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { sweepOutbox } from "../_shared/edge/outbox.ts";

/** The state of the whole system: queues, ends of the last hour, containers, outbox. */
export const systemMetrics = defineEdgeFunction({
  name: "system-metrics",
  methods: ["GET", "POST"],
  callers: ["service"],
  async run(call) {
    const metrics = await call.database.call("system_metrics", {}, z.looseObject({}));
    call.inBackground("sweeping the outbox", sweepOutbox(call));
    return { status: 200, body: { success: true, ...metrics } };
  },
});
