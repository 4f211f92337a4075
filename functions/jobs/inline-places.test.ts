import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { InlinePlaces } from "./inline-places.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const { signal } = new AbortController();

it("gives a place to whoever has waited longest, when one is given back", async () => {
  const places = new InlinePlaces({ max: 2, waitMs: 1000 });
  const order: string[] = [];
  const take = async (name: string) => {
    const leave = await places.take(signal);
    order.push(name);
    return leave;
  };
  const [first] = [await take("first"), await take("second")];
  const [third, fourth] = [take("third"), take("fourth")];
  first();
  // Once for each place, however often it is called.
  first();
  (await third)();
  await fourth;
  expect(order).toEqual(["first", "second", "third", "fourth"]);
});

it("refuses whoever has waited too long, and takes no place for them or for who has left", async () => {
  const places = new InlinePlaces({ max: 1, waitMs: 1000 });
  const leave = await places.take(signal);
  const leaving = new AbortController();
  const gone = places.take(leaving.signal);
  const late = places.take(signal);
  leaving.abort(new Error("the client has gone"));
  await expect(gone).rejects.toThrow("the client has gone");
  const refused = expect(late).rejects.toMatchObject({
    code: "OVERLOADED",
    message: expect.stringMatching(/^1 answers with files are under way/),
    headers: { "Retry-After": "10" },
  });
  vi.advanceTimersByTime(1000);
  await refused;
  await expect(places.take(leaving.signal)).rejects.toThrow("the client has gone");
  leave();
  (await places.take(signal))();
  expect(vi.getTimerCount()).toBe(0);
});

it("keeps whoever waits when one leaves whose turn has just come", async () => {
  const places = new InlinePlaces({ max: 1, waitMs: 1000 });
  const leave = await places.take(signal);
  const leaving = new AbortController();
  const [next, last] = [places.take(leaving.signal), places.take(signal)];
  leave();
  leaving.abort(new Error("the client has gone"));
  (await next)();
  (await last)();
});
