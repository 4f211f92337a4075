import { listOutbox } from "./api/outbox-list.ts";
import { defineRoute } from "./http/route.ts";
import { viewOutbox } from "./outbox/outbox-view.ts";

export const listOutboxRoute = defineRoute(listOutbox).handle((_request, { outbox, delivery }) => ({
  status: 200,
  body: viewOutbox(outbox, delivery.alarms),
}));
