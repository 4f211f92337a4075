import process from "node:process";
import type { PullPlan, PullProgress, PullWatcher } from "#runtime/hub/pull-model.ts";
import { bytes } from "#runtime/lib/bytes.ts";
import { note } from "../output.ts";

/** What a person sees of a pull: what will be fetched, a bar on a terminal, else a line now and then. */
export interface PullView extends Required<PullWatcher> {
  close(): void;
}

export async function createPullView(what: string, { plain }: { readonly plain: boolean }): Promise<PullView> {
  const bar = plain || !process.stderr.isTTY ? null : await createBar();
  let shownAtMs = Number.NEGATIVE_INFINITY;
  let start: (PullProgress & { readonly atMs: number }) | null = null;
  const isDue = (everyMs: number) => {
    if (performance.now() - shownAtMs < everyMs) return false;
    shownAtMs = performance.now();
    return true;
  };
  return {
    onPlan(plan) {
      note(planText(what, plan));
      shownAtMs = performance.now();
      bar?.start(plan.totalBytes, plan.hereBytes, { text: "" });
      start = { hereBytes: plan.hereBytes, totalBytes: plan.totalBytes, atMs: performance.now() };
    },
    onProgress(progress) {
      if (start === null || !isDue(bar === null ? lineMs : barMs)) return;
      const text = progressText(progress, (progress.hereBytes - start.hereBytes) / (performance.now() - start.atMs));
      if (bar === null) note(text);
      else bar.update(progress.hereBytes, { text });
    },
    onWait({ host, pid, received_bytes, total_bytes }) {
      if (!isDue(lineMs)) return;
      const far = total_bytes === 0 ? "" : ` (${bytes(received_bytes)} of ${bytes(total_bytes)})`;
      note(`another process fetches it already${far}: waiting for process ${pid} on ${host}`);
    },
    onCheck() {
      bar?.stop();
      note("looking at the files as a whole");
    },
    close() {
      bar?.stop();
    },
  };
}

const lineMs = 10_000;
const barMs = 200;

function planText(what: string, plan: PullPlan): string {
  const { commit, precision, files, totalBytes, hereBytes, freeBytes } = plan;
  // Below that it is the list of its parts, which was fetched to know this.
  const here = hereBytes * 100 < totalBytes ? "" : `, ${bytes(hereBytes)} of them here already`;
  const kind = precision === undefined ? "" : ` in ${precision}`;
  return `${what} at ${commit.slice(0, 12)}${kind}: ${files.length} files, ${bytes(totalBytes)}${here}; ${bytes(freeBytes)} are free`;
}

/** @param bytesPerMs since the pull began */
export function progressText({ hereBytes, totalBytes }: PullProgress, bytesPerMs: number): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((100 * hereBytes) / totalBytes);
  const parts = [`${percent} % of ${bytes(totalBytes)}`];
  if (bytesPerMs > 0)
    parts.push(`${bytes(bytesPerMs * 1000)}/s`, `${duration((totalBytes - hereBytes) / bytesPerMs)} left`);
  return parts.join(", ");
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

async function createBar() {
  const { SingleBar } = await import("cli-progress");
  return new SingleBar({
    format: "{bar} {text}",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 32,
    stream: process.stderr,
    // A second Ctrl-C ends the process at once: the cursor must not be hidden then, nor line wrapping be off.
    hideCursor: null,
    linewrap: true,
    clearOnComplete: true,
    gracefulExit: false,
  });
}
