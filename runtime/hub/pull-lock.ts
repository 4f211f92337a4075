import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, readlink, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import process from "node:process";
import { z } from "zod";
import { pause } from "./pause.ts";

/*
 * Who fetches a model into a folder: one process of all that share the folder, over a network too. A file, made where none
 * was; its holder changes it every few seconds. One that has not changed for a while, by the clock of whoever watches it, was
 * left behind, as was one whose process on this machine is gone.
 *
 * Not a lock of the system's: file systems that are shared over a network keep those for one machine, or not at all.
 */
const holder = z.object({
  token: z.string(),
  /** Where `pid` means something. */
  machine: z.string(),
  host: z.string(),
  pid: z.int(),
  /** Counts up while the holder lives. */
  beat: z.int(),
  received_bytes: z.number(),
  total_bytes: z.number(),
});
export type PullHolder = z.output<typeof holder>;

export interface PullLockTimes {
  readonly beatMs: number;
  /** How long it may stay unchanged. */
  readonly staleMs: number;
  readonly lookMs: number;
}

const usualTimes: PullLockTimes = { beatMs: 5000, staleMs: 30_000, lookMs: 500 };

export interface PullLockOptions {
  readonly signal: AbortSignal;
  /** Another process holds it; called at each look. */
  onWait?(holder: PullHolder): void;
  readonly times?: PullLockTimes;
}

export class PullLock {
  readonly #path: string;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #holder: PullHolder;
  #beating: Promise<void> = Promise.resolve();

  private constructor(path: string, own: PullHolder, beatMs: number) {
    this.#path = path;
    this.#holder = own;
    this.#timer = setInterval(() => {
      this.#beating = this.#beating.then(() => this.#beat());
    }, beatMs).unref();
  }

  /** Waits until nobody else holds it. The folder of `path` is made. @throws the signal's reason, file system errors */
  static async acquire(path: string, { signal, onWait, times = usualTimes }: PullLockOptions): Promise<PullLock> {
    const own = await ownHolder();
    let seen = { text: "", sinceMs: performance.now() };
    for (;;) {
      signal.throwIfAborted();
      if (await create(path, own)) return new PullLock(path, own, times.beatMs);
      const text = await readFile(path, "utf8").catch(() => null);
      if (text === null) continue;
      if (seen.text !== text) seen = { text, sinceMs: performance.now() };
      const other = parse(text);
      const isStale =
        performance.now() - seen.sinceMs > times.staleMs || (other !== null && isGone(other, own.machine));
      if (isStale) {
        await breakLock(path, text);
        continue;
      }
      if (other !== null) onWait?.(other);
      await pause(times.lookMs, signal);
    }
  }

  /** Aborts when another process has taken it over: this one stood still for too long. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** For those who wait. Written with the next beat. */
  progress(receivedBytes: number, totalBytes: number): void {
    this.#holder = { ...this.#holder, received_bytes: receivedBytes, total_bytes: totalBytes };
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    if (await this.#isOwn()) await rm(this.#path, { force: true });
  }

  async #beat(): Promise<void> {
    try {
      if (!(await this.#isOwn())) {
        clearInterval(this.#timer);
        this.#lost.abort(new Error("another process has taken over"));
        return;
      }
      this.#holder = { ...this.#holder, beat: this.#holder.beat + 1 };
      await writeFile(`${this.#path}.${this.#holder.token}`, JSON.stringify(this.#holder));
      await rename(`${this.#path}.${this.#holder.token}`, this.#path);
    } catch {
      // A full or slow disk: the next beat may be written.
    }
  }

  async #isOwn(): Promise<boolean> {
    const text = await readFile(this.#path, "utf8").catch(() => null);
    return text !== null && parse(text)?.token === this.#holder.token;
  }
}

/** Whether the file was made, and not there already. */
async function create(path: string, own: PullHolder): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true });
  // Linked when it has its content: nobody reads half of it.
  const temporary = `${path}.${own.token}`;
  await writeFile(temporary, JSON.stringify(own));
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST" || code === "ENOENT") return false;
    if (code === "EPERM" || code === "ENOTSUP" || code === "EOPNOTSUPP") return createExclusively(path, own);
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Where a file system has no links. */
async function createExclusively(path: string, own: PullHolder): Promise<boolean> {
  const file = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST" || error.code === "ENOENT") return null;
    throw error;
  });
  await file?.writeFile(JSON.stringify(own));
  await file?.close();
  return file !== null;
}

/** Takes away what was found stale; what came in its place meanwhile is put back. */
async function breakLock(path: string, staleText: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  const isMoved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!isMoved) return;
  const text = await readFile(aside, "utf8").catch(() => staleText);
  if (text !== staleText) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function parse(text: string): PullHolder | null {
  try {
    return holder.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function isGone({ machine, pid }: PullHolder, thisMachine: string): boolean {
  if (machine !== thisMachine) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}

async function ownHolder(): Promise<PullHolder> {
  const counts = { beat: 0, received_bytes: 0, total_bytes: 0 };
  return { token: randomUUID(), machine: await thisMachine(), host: hostname(), pid: process.pid, ...counts };
}

/** The same for processes that know each other by their ids: containers on one machine may not. */
async function thisMachine(): Promise<string> {
  const [boot, space] = await Promise.all([
    readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => hostname()),
    readlink("/proc/self/ns/pid").catch(() => ""),
  ]);
  return `${boot.trim()} ${space}`;
}
