import { expect, it } from "vitest";
import { giveUpReports } from "./give-up.ts";

const uuid = "0d7c1ab2-53c5-4d0e-9c3e-0f8f6f6c1a2b";
const none = { givenUp: 0, storing: 0, unreadable: 0 };
const holding = (kept: string, found: Partial<typeof none> = { givenUp: 1 }) => ({
  giveUp: async (id: string) => (id === kept ? { ...none, ...found } : none),
  removeUnreadable: async (id: number) => id === 17,
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
  const storing = giveUpReports(holding(uuid, { storing: 1 }), `${uuid}-u1`);
  await expect(storing).rejects.toMatchObject({ code: "JOB_NOT_SETTLED" });
});

it("gives up no report that it cannot read, unless its row is named", async () => {
  await expect(giveUpReports(holding(uuid, { unreadable: 1 }), uuid)).rejects.toMatchObject({
    code: "RESULT_UNREADABLE",
    message: expect.stringContaining("or give it up by the name of its row"),
  });
  expect(await giveUpReports(holding(uuid), "row-17")).toBe(1);
  await expect(giveUpReports(holding(uuid), "row-18")).rejects.toThrow("No report of job row-18 waits");
  // A job may be called so.
  await expect(giveUpReports(holding("row-17", { storing: 1 }), "row-17")).rejects.toThrow("are not stored yet");
});
