import { defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { register } from "../_shared/edge/workers.ts";

/** A container says where it is reached, every minute, and when it ends. */
export const updateWorkerUrl = defineEdgeFunction({
  name: "update-worker-url",
  methods: ["POST"],
  callers: ["service"],
  run: (call) => register(call),
});
