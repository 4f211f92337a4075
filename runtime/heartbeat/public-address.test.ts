import { expect, it } from "vitest";
import { publicAddress } from "./public-address.ts";

it.each([
  [{ publicUrl: undefined, podId: undefined }, null],
  [
    { publicUrl: undefined, podId: "abc123" },
    { url: "https://abc123-7860.proxy.runpod.net", detectionMethod: "RUNPOD_POD_ID" },
  ],
  [
    { publicUrl: "https://gpu.example/worker/", podId: "abc123" },
    { url: "https://gpu.example/worker", detectionMethod: "PUBLIC_URL" },
  ],
] as const)("%j is reached at %j", (known, address) => {
  expect(publicAddress(known, 7860)).toEqual(address);
});
