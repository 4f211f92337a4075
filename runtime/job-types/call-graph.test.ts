import { describe, expect, it } from "vitest";
import { checkCalls, workersFor } from "./call-graph.ts";

const handler = (type: string, worker: string, calls: string[] = [], produces: "text" | "image" = "text") => ({
  type,
  worker,
  produces,
  calls,
});

function refusals(handlers: ReturnType<typeof handler>[], broken: string[] = []) {
  return Object.fromEntries(checkCalls(handlers, (type) => broken.includes(type)).refused);
}

describe("handlers that call others", () => {
  it("are in order where no chain comes back to its worker", () => {
    const handlers = [
      handler("paint", "sdxl", ["enhance", "caption"]),
      handler("film", "wan", ["enhance"]),
      handler("enhance", "chat", ["caption"]),
      handler("caption", "media"),
    ];
    expect(checkCalls(handlers, () => false)).toEqual({ accepted: handlers, refused: new Map() });
  });

  it.each<[string, ReturnType<typeof handler>[], Record<string, RegExp>]>([
    ["nobody", [handler("paint", "sdxl", ["enhance"])], { paint: /there is no handler for enhance/ }],
    [
      "their own worker",
      [handler("paint", "sdxl", ["sketch"]), handler("sketch", "sdxl")],
      { paint: /sketch belongs to the same worker, sdxl: use ctx\.run/ },
    ],
    [
      "what makes files",
      [handler("chat", "chat", ["paint"]), handler("paint", "sdxl", [], "image")],
      { chat: /paint produces images.*use ctx\.enqueue/ },
    ],
    [
      "each other",
      [handler("ask", "a", ["answer"]), handler("answer", "b", ["ask"])],
      { answer: /answer calling ask closes a circle.*\(ask calls answer\)/ },
    ],
    [
      "workers in a circle, by different types",
      [
        handler("a1", "a", ["b1"]),
        handler("b1", "b"),
        handler("b2", "b", ["c1"]),
        handler("c1", "c", ["a2"]),
        handler("a2", "a"),
      ],
      { c1: /c1 calling a2 closes a circle.*\(a1 calls b1, b2 calls c1\)/ },
    ],
  ])("and %s are refused", (_whom, handlers, expected) => {
    const found = refusals(handlers);
    expect(Object.keys(found)).toEqual(Object.keys(expected));
    for (const [type, problem] of Object.entries(expected)) expect(found[type]).toMatch(problem);
  });

  it("are in order when the called one's file is broken: that may be mended", () => {
    expect(refusals([handler("paint", "sdxl", ["enhance"])], ["enhance"])).toEqual({});
  });

  it("are in order when the called one is a job type of the project's own that is not here", () => {
    expect(refusals([handler("paint", "sdxl", ["enhance_instruct"])])).toEqual({});
  });

  it("need the workers of all that they may come to call", () => {
    const handlers = [
      handler("paint", "sdxl"),
      handler("paint_well", "sdxl", ["enhance"]),
      handler("enhance", "chat", ["caption"]),
      handler("caption", "media"),
      handler("film", "wan"),
    ];
    expect(workersFor("paint", handlers)).toEqual(["sdxl", "chat", "media"]);
    expect(workersFor("film", handlers)).toEqual(["wan"]);
  });
});
