import { createReadStream } from "node:fs";
import { createServer, type Server } from "node:http";
import { basename } from "node:path";
import type { LocalFile } from "../job/local-inputs.ts";

/**
 * The files that `run` takes from this machine. A job names its files by address, and handlers get them from the
 * guarded download: so for the time of one job its own files, and no others, are served on loopback.
 */
export class LocalFiles {
  readonly #server: Server | undefined;
  /** By what stands in the job. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Where the files are, as INPUT_HOSTS_ALLOWED names it. */
  readonly hosts: readonly string[];

  private constructor(addresses: LocalFiles["addresses"], server?: Server, hosts: readonly string[] = []) {
    this.addresses = addresses;
    this.#server = server;
    this.hosts = hosts;
  }

  static async open(files: readonly LocalFile[]): Promise<LocalFiles> {
    if (files.length === 0) return new LocalFiles(new Map());
    // A LoRA is shown by its name, which is the end of its address.
    const paths = files.map(({ file }, index) => `/${index}/${encodeURIComponent(basename(file))}`);
    const server = createServer((request, response) => {
      const found = files[paths.indexOf(request.url ?? "")];
      if (found === undefined) response.writeHead(404).end();
      else
        createReadStream(found.file)
          .on("error", () => response.destroy())
          .pipe(response);
    });
    const host = await listen(server);
    const addresses = files.map(({ text }, index) => [text, `http://${host}${paths[index]}`] as const);
    return new LocalFiles(new Map(addresses), server, [host]);
  }

  close(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

function listen(server: Server): Promise<string> {
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") fail(new Error("the server has no port"));
      else done(`127.0.0.1:${address.port}`);
    });
  });
}
