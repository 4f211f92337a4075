import { tryOutbox } from "./api/outbox-try.ts";
import { defineRoute } from "./http/route.ts";
import { requireRunning } from "./worker/find-executor.ts";

export const tryOutboxRoute = defineRoute(tryOutbox).handle(async (_request, runtime) => {
  requireRunning(runtime);
  await runtime.delivery.tryNow();
  return { status: 202, body: { waiting: runtime.delivery.pending } };
});
