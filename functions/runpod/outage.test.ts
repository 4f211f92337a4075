import { expect, it, vi } from "vitest";
import { createLogger } from "#runtime/observe/log.ts";
import { Outage } from "./outage.ts";

it("is logged when it begins, once a minute that it goes on, and when it is over", async () => {
  const log = await createLogger({ level: "silent", format: "json" });
  const [error, info] = [vi.spyOn(log, "error"), vi.spyOn(log, "info")];
  let nowMs = 0;
  const outage = new Outage({ log, steadyMs: () => nowMs });
  const fails = (message: string) => outage.seen(new Error(message));
  const times = () => error.mock.calls.map(([facts]) => facts);
  outage.isOver();
  for (; nowMs < 61_500; nowMs += 1500) fails("a cable is cut");
  expect(times()).toMatchObject([{ times: 1 }, { times: 40 }]);
  expect(info).not.toHaveBeenCalled();
  outage.isOver();
  outage.isOver();
  expect(info.mock.calls).toEqual([[{ after_ms: 61_500 }, "jobs are taken again"]]);
  // Another one is news at once.
  fails("the disk is full");
  expect(times().at(-1)).toMatchObject({ error: { message: "the disk is full" }, times: 1 });
});
