import { describe, expect, it } from "vitest";
import { CallLine } from "./call-line.ts";

const line = (max = 100) => new CallLine<{ userId: string; isOfJob: boolean; name: string }>(max);
const http = (userId: string, name: string) => ({ userId, isOfJob: false, name });
const ofJob = (userId: string, name: string) => ({ userId, isOfJob: true, name });

function served(one: ReturnType<typeof line>): string[] {
  const names: string[] = [];
  for (let call = one.next(); call !== undefined; call = one.next()) names.push(call.name);
  return names;
}

describe("the line of calls", () => {
  it("serves users in turn, and each one's calls in their order", () => {
    const one = line();
    for (const name of ["a1", "a2", "a3"]) one.add(http("ada", name));
    for (const name of ["b1", "b2"]) one.add(http("ben", name));
    one.add(http("eve", "e1"));
    expect(served(one)).toEqual(["a1", "b1", "e1", "a2", "b2", "a3"]);
    expect(one.size).toBe(0);
  });

  it("puts a user who has just been served behind those who wait", () => {
    const one = line();
    one.add(http("ada", "a1"));
    one.add(http("ben", "b1"));
    expect(one.next()?.name).toBe("a1");
    one.add(http("ada", "a2"));
    expect(served(one)).toEqual(["b1", "a2"]);
  });

  it("serves calls of jobs first, and one over HTTP between two of them", () => {
    const one = line();
    for (const name of ["h1", "h2"]) one.add(http("ada", name));
    for (const name of ["j1", "j2", "j3", "j4"]) one.add(ofJob("ben", name));
    expect(served(one)).toEqual(["j1", "h1", "j2", "h2", "j3", "j4"]);
  });

  it("forgets a call whose caller left, and does not mind one that it does not have", () => {
    const one = line();
    const [first, second] = [http("ada", "a1"), http("ada", "a2")];
    one.add(first);
    one.add(second);
    one.remove(first);
    one.remove(first);
    expect(one.size).toBe(1);
    expect(served(one)).toEqual(["a2"]);
  });

  it("is full of calls over HTTP alone", () => {
    const one = line(1);
    expect(one.add(http("ada", "a1"))).toBeNull();
    expect(one.add(http("ada", "a2"))).toMatchObject({ name: "a2" });
    expect(one.add(ofJob("ada", "j1"))).toBeNull();
    expect(one.size).toBe(2);
  });

  it("gives the place of the user with the most to one with fewer, so that nobody is locked out", () => {
    const one = line(3);
    for (const name of ["a1", "a2", "a3"]) one.add(http("ada", name));
    expect(one.add(http("ben", "b1"))).toMatchObject({ name: "a3" });
    // One more each would be no fairer.
    expect(one.add(http("ben", "b2"))).toMatchObject({ name: "b2" });
    expect(one.add(http("eve", "e1"))).toMatchObject({ name: "a2" });
    expect(served(one)).toEqual(["a1", "b1", "e1"]);
  });
});
