import { defineEdgeFunction } from "../_shared/edge/edge-function.ts";
import { register } from "../_shared/edge/workers.ts";

/** `update-worker-url` under the name that older chat containers call: what they can do need not be said. */
export const registerChatWorker = defineEdgeFunction({
  name: "register-chat-worker",
  methods: ["POST"],
  callers: ["service"],
  run: (call) => register(call, ["chat", "enhance_base", "enhance_instruct"]),
});
