import { expect, it } from "vitest";
import { giveUpReports } from "./give-up.ts";

const uuid = "0d7c1ab2-53c5-4d0e-9c3e-0f8f6f6c1a2b";
const holding = (kept: string, found = { givenUp: 1, storing: 0 }) => ({
  giveUp: async (id: string) => (id === kept ? found : { givenUp: 0, storing: 0 }),
});

it.each([
  [uuid, uuid],
  [`${uuid}-u1`, uuid],
  [`sync-${uuid}-u1`, uuid],
  [`${uuid}-u1`, `${uuid}-u1`],
])("finds a report by the id %s of the job %s", async (given, kept) => {
  expect(await giveUpReports(holding(kept), given)).toBe(1);
});

it("says by the given id that nothing waits, or that files do", async () => {
  await expect(giveUpReports(holding(uuid), "lake-1")).rejects.toThrow("No report of job lake-1 waits");
  const storing = giveUpReports(holding(uuid, { givenUp: 0, storing: 1 }), `${uuid}-u1`);
  await expect(storing).rejects.toMatchObject({ code: "JOB_NOT_SETTLED" });
});
