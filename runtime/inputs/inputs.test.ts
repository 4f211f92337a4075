import { readdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { retryMeaning } from "#contract/errors.ts";
import { inputLimits } from "./limits.ts";
import { host, inputsHarness, sends, sha256 } from "./testing/harness.ts";
import { publicAddress, type Site } from "./testing/internet.ts";

const harness = inputsHarness();
const address = `https://${host}/a.png`;

/** The error's code and whether another attempt makes sense; nothing may be left behind. */
async function refusal(
  url = address,
  ...rest: [Parameters<typeof harness.fetch>[1]?, Parameters<typeof harness.fetch>[2]?]
) {
  const before = await filesOfWork();
  const error: unknown = await harness.fetch(url, ...rest).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(await harness.partialFiles()).toEqual([]);
  expect(await filesOfWork()).toEqual(before);
  const code = error instanceof Error && "code" in error ? error.code : error;
  return [code, retryMeaning(error) === "never" ? "never again" : "again"];
}

function filesOfWork(): Promise<string[]> {
  return readdir(harness.work).catch(() => []);
}

describe("a reference file", () => {
  it("comes as a file of the attempt, known by its content alone", async () => {
    harness.serve(sends(harness.picture, { "Content-Type": "text/html" }));
    const input = await harness.fetch(`${address}?token=abc#top`);
    expect(input).toEqual({
      file: expect.stringContaining(harness.work),
      mimeType: "image/png",
      sizeBytes: harness.picture.byteLength,
      sha256: sha256(harness.picture),
    });
    expect(input.file).toMatch(/\.png$/);
    expect(await readFile(input.file)).toEqual(harness.picture);
    expect(harness.internet.requests).toEqual([`${host}/a.png?token=abc`]);
    expect(await harness.partialFiles()).toEqual([]);
  });

  it("is fetched by an address without a name, too", async () => {
    harness.serve(sends(harness.picture), publicAddress);
    expect(await harness.fetch(`https://${publicAddress}/a.png`)).toMatchObject({ mimeType: "image/png" });
    expect(harness.internet.connections).toEqual([publicAddress]);
  });

  it("may come by http from a host with a private address that the operator has named", async () => {
    harness.serve(sends(harness.picture), `nas.lan:${harness.internet.httpPort}`);
    harness.internet.names.set("nas.lan", [["192.168.1.5"]]);
    const url = `http://nas.lan:${harness.internet.httpPort}/a.png`;
    expect(await harness.fetch(url, {}, { allowedHosts: ["nas.lan"] })).toMatchObject({ mimeType: "image/png" });
    expect(await refusal(url)).toEqual(["INPUT_REFUSED", "never again"]);
  });
});

describe("the host", () => {
  it("is resolved once: an answer that changes cannot move the connection", async () => {
    harness.serve(sends(harness.picture));
    harness.internet.names.set(host, [[publicAddress], ["127.0.0.1"]]);
    await harness.fetch(address);
    expect(harness.internet.connections).toEqual([publicAddress]);
    expect(harness.internet.names.get(host)).toEqual([["127.0.0.1"]]);
  });

  it.each([["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:10.0.0.1"], ["64:ff9b::7f00:1"]])(
    "is refused at %s, and not connected to",
    async (private_) => {
      harness.internet.names.set(host, [[publicAddress, private_]]);
      expect(await refusal()).toEqual(["INPUT_REFUSED", "never again"]);
      expect(harness.internet.connections).toEqual([]);
    },
  );

  it("that does not exist, or proves to be another, is tried again", async () => {
    expect(await refusal("https://nowhere.example.test/a.png")).toEqual(["INPUT_UNREACHABLE", "again"]);
    harness.internet.names.set("other.test", [[publicAddress]]);
    harness.serve(sends(harness.picture), "other.test");
    expect(await refusal("https://other.test/a.png")).toEqual(["INPUT_UNREACHABLE", "again"]);
    expect(harness.internet.requests).toEqual([]);
  });
});

describe("a redirect", () => {
  const redirects =
    (location: string): Site =>
    (_request, response) =>
      void response.writeHead(302, { location }).end();

  it("is followed three times, each hop checked and resolved", async () => {
    const next: Site = (request, response) => {
      const left = Number(new URL(request.url ?? "", address).searchParams.get("left"));
      if (left > 0) response.writeHead(307, { Location: `/a.png?left=${left - 1}` }).end();
      else response.end(harness.picture);
    };
    harness.serve(next);
    expect(await harness.fetch(`${address}?left=3`)).toMatchObject({ mimeType: "image/png" });
    expect(await refusal(`${address}?left=4`)).toEqual(["INPUT_REFUSED", "never again"]);
  });

  it.each([
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:7f00:1]/",
    "https://inside.example.test/a.png",
    "http://files.example.test/a.png",
    "https://user:pw@files.example.test/a.png",
    "file:///etc/passwd",
  ])("to %s is refused and not requested", async (location) => {
    harness.internet.names.set("inside.example.test", [["10.0.0.1"]]);
    harness.serve(redirects(location));
    expect(await refusal()).toEqual(["INPUT_REFUSED", "never again"]);
    expect(harness.internet.requests).toEqual([`${host}/a.png`]);
  });
});

describe("an answer", () => {
  it.each([400, 401, 403, 404, 410])("with %i ends the job", async (status) => {
    harness.serve((_request, response) => void response.writeHead(status).end());
    expect(await refusal()).toEqual(["INPUT_NOT_FOUND", "never again"]);
  });

  it.each([408, 429, 500, 502, 503])("with %i is requested again later", async (status) => {
    harness.serve((_request, response) => void response.writeHead(status).end());
    expect(await refusal()).toEqual(["INPUT_UNREACHABLE", "again"]);
  });

  it.each([
    ["a page", Buffer.from("<!doctype html>".padEnd(200))],
    ["a short text", Buffer.from("no")],
    ["nothing", Buffer.alloc(0)],
  ])("that is %s is refused, whatever it is called", async (_what, body) => {
    harness.serve(sends(body, { "Content-Type": "image/png" }));
    expect(await refusal()).toEqual(["INPUT_INVALID", "never again"]);
  });

  it("that is packed is refused: its size would say nothing", async () => {
    harness.serve(sends(gzipSync(harness.picture), { "Content-Encoding": "gzip" }));
    expect(await refusal()).toEqual(["INPUT_INVALID", "never again"]);
  });

  it("that breaks off is requested again later", async () => {
    harness.serve((_request, response) => {
      response.writeHead(200, { "Content-Length": harness.picture.byteLength });
      response.write(harness.picture.subarray(0, 1000), () => response.destroy());
    });
    expect(await refusal()).toEqual(["INPUT_UNREACHABLE", "again"]);
    harness.serve((_request, response) => {
      response.write(harness.picture.subarray(0, 1000), () => response.destroy());
    });
    expect(await refusal()).toEqual(["INPUT_UNREACHABLE", "again"]);
  });

  it("that says it is too large is not received", async () => {
    const closed = Promise.withResolvers<void>();
    harness.serve((_request, response) => {
      response.once("close", () => closed.resolve());
      response.writeHead(200, { "Content-Length": 2 * 1024 ** 3 }).write(harness.picture);
    });
    expect(await refusal()).toEqual(["INPUT_TOO_LARGE", "never again"]);
    await closed.promise;
  });

  it("that never ends is left at the limit", async () => {
    harness.serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", more);
      response.write(harness.picture);
      more();
    });
    const limits = { ...inputLimits, sizeBytes: 1_000_000 };
    expect(await refusal(address, {}, { limits })).toEqual(["INPUT_TOO_LARGE", "never again"]);
  });

  it.each([
    ["does not come", () => undefined],
    ["stops coming", (response) => void response.write(harness.picture.subarray(0, 1000))],
  ] satisfies [string, (response: Parameters<Site>[1]) => void][])(
    "that %s is left after a while",
    async (_what, begin) => {
      harness.serve((_request, response) => begin(response));
      const limits = { ...inputLimits, silenceMs: 100 };
      expect(await refusal(address, {}, { limits })).toEqual(["INPUT_UNREACHABLE", "again"]);
    },
  );

  it("that comes drop by drop is left when the time is over", async () => {
    harness.serve((_request, response) => {
      const drops = setInterval(() => response.write(Buffer.from([0x89])), 20);
      response.once("close", () => clearInterval(drops));
    });
    const limits = { ...inputLimits, totalMs: 300 };
    expect(await refusal(address, {}, { limits })).toEqual(["INPUT_UNREACHABLE", "again"]);
  });
});

it("stops when its job is stopped, and closes the connection", async () => {
  const [requested, closed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  harness.serve((_request, response) => {
    response.once("close", () => closed.resolve());
    response.write(harness.picture.subarray(0, 1000), () => requested.resolve());
  });
  const stop = new AbortController();
  const fetched = harness.fetch(address, { signal: stop.signal });
  await requested.promise;
  stop.abort(new Error("the user has changed her mind"));
  await expect(fetched).rejects.toThrow("the user has changed her mind");
  await closed.promise;
  expect(await harness.partialFiles()).toEqual([]);
});

it("says nothing secret", async () => {
  const error = await harness.fetch(`${address}?token=very-secret`).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "INPUT_NOT_FOUND", message: expect.stringContaining(address) });
  expect(String(error)).not.toContain("very-secret");
});
