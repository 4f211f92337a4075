import { createReadStream } from "node:fs";
import { access, constants } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { resolve } from "node:path";
import { usageError } from "../errors.ts";
import type { JobOptions } from "../job/options.ts";

/** An address has a scheme; one letter is the drive of a Windows path. */
const isAddress = (text: string) => /^[a-z][a-z0-9+.-]+:/i.test(text);

/**
 * The pictures that `run` takes from this machine. A job names its references by address, and handlers get them from the
 * guarded download: so for the time of one job its own files, and no others, are served on loopback.
 */
export class LocalFiles {
  readonly #server: Server | undefined;
  /** The options with addresses for files. */
  readonly options: Pick<JobOptions, "reference" | "mask">;
  /** Where the files are, as INPUT_HOSTS_ALLOWED names it. */
  readonly hosts: readonly string[];

  private constructor(options: LocalFiles["options"], server?: Server, hosts: readonly string[] = []) {
    this.options = options;
    this.#server = server;
    this.hosts = hosts;
  }

  /** @throws CodedError INVALID_REQUEST for a file that cannot be read, and for a mask of nothing */
  static async open({ reference, mask, metadata }: JobOptions): Promise<LocalFiles> {
    if (mask !== undefined && reference === undefined && metadata === undefined) {
      throw usageError(`--mask is ${mask}: give the picture that it is a mask of as --reference.`);
    }
    const given = Object.entries({ reference, mask }).flatMap(([name, text]) =>
      text === undefined || isAddress(text) ? [] : [{ name, text, path: resolve(text) }],
    );
    if (given.length === 0) return new LocalFiles({ reference, mask });
    for (const { name, text, path } of given) await checkReadable(name, text, path);
    const server = createServer((request, response) => {
      const file = given.find(({ name }) => request.url === `/${name}`);
      if (file === undefined) response.writeHead(404).end();
      else
        createReadStream(file.path)
          .on("error", () => response.destroy())
          .pipe(response);
    });
    const host = await listen(server);
    const addresses = Object.fromEntries(given.map(({ name }) => [name, `http://${host}/${name}`]));
    return new LocalFiles({ reference, mask, ...addresses }, server, [host]);
  }

  close(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

async function checkReadable(name: string, text: string, path: string): Promise<void> {
  await access(path, constants.R_OK).catch(() => {
    throw usageError(`--${name} is ${text}: there is no such file, and it is no address.`);
  });
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
