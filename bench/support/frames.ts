import type { Page } from "playwright-core";
import { z } from "zod";

/* What a page's frames cost, from Chromium's own trace. */

const traceEvent = z.object({
  name: z.string(),
  ph: z.string(),
  pid: z.number(),
  tid: z.number(),
  ts: z.number().default(0),
  dur: z.number().default(0),
  tdur: z.number().default(0),
  args: z.object({ name: z.unknown() }).partial().default({}),
});
const trace = z.object({ traceEvents: z.array(traceEvent) });
type TraceEvent = z.output<typeof traceEvent>;

export interface Frames {
  /** Of each frame the time that the page's main thread worked since the one before. */
  readonly cpuMs: readonly number[];
  /** Of each frame the time that passed since the one before. */
  readonly wallMs: readonly number[];
}

/** Keeps the page drawing frames while `during` goes on, and measures each of them. */
export async function watchFrames(page: Page, during: () => Promise<void>): Promise<Frames> {
  const browser = page.context().browser();
  if (browser === null) throw new Error("the page has no browser of its own");
  await page.evaluate(`
    globalThis.isWatched = true;
    const look = () => { if (isWatched) requestAnimationFrame(look); };
    requestAnimationFrame(look);`);
  await browser.startTracing(page, {
    categories: ["disabled-by-default-devtools.timeline", "devtools.timeline", "cc", "__metadata"],
  });
  await during();
  const recorded = await browser.stopTracing();
  await page.evaluate("isWatched = false");
  return framesIn(trace.parse(JSON.parse(recorded.toString())).traceEvents);
}

/** The thread that draws the page: of all main threads of renderers the one with the most frames. */
function framesIn(events: readonly TraceEvent[]): Frames {
  const mains = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const threads = mains.map(({ pid, tid }) => events.filter((event) => event.pid === pid && event.tid === tid));
  const [drawn = []] = threads.toSorted((one, other) => beginsIn(other).length - beginsIn(one).length);
  const begins = beginsIn(drawn);
  const tasks = drawn.filter(({ name }) => name === "RunTask").toSorted((one, other) => one.ts - other.ts);
  const cpuMs: number[] = [];
  const wallMs: number[] = [];
  let next = 0;
  begins.forEach((begin, index) => {
    const before = begins[index - 1];
    let worked = 0;
    for (let task = tasks[next]; task !== undefined && task.ts <= begin; task = tasks[++next]) worked += task.tdur;
    if (before === undefined) return;
    cpuMs.push(worked / 1000);
    wallMs.push((begin - before) / 1000);
  });
  return { cpuMs, wallMs };
}

function beginsIn(events: readonly TraceEvent[]): number[] {
  return events
    .filter(({ name, dur }) => name === "ProxyMain::BeginMainFrame" && dur > 0)
    .map(({ ts }) => ts)
    .toSorted((one, other) => one - other);
}
