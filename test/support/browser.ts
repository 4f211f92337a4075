import { type Browser, chromium } from "playwright-core";
import { findProgram, installPackage } from "./machine.ts";

const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/** A real Chromium without a window; on a Debian machine where we are root, it is installed when it is missing. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = (await findBrowser()) ?? (await installBrowser());
  // Chromium refuses to run as root in its sandbox, and a container's /dev/shm is too small for it. A page costs a sixth less
  // time without a process for graphics that are not there.
  const args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--in-process-gpu"];
  return chromium.launch({ executablePath, args });
}

async function installBrowser(): Promise<string> {
  await installPackage("chromium", `a Chromium (one of ${names.join(", ")})`);
  const path = await findBrowser();
  if (path === undefined) throw new Error("The package chromium is installed, but the program is not on the PATH.");
  return path;
}

async function findBrowser(): Promise<string | undefined> {
  for (const name of names) {
    const path = await findProgram(name);
    if (path !== undefined) return path;
  }
  return undefined;
}
