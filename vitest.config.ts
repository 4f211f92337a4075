import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**"],
    globalSetup: ["test/support/global-setup.ts"],
    // Executors, servers and ONNX sessions are real in these tests. A third of their time is waiting, for a lease to run
    // out or a process to end: three files at a time keep two cores busy, and more make the tests of short times fail.
    maxWorkers: 3,
    pool: "forks",
    testTimeout: 30_000,
    // What is waited for comes at once; on a busy machine that takes longer than the second that is the default.
    expect: { poll: { timeout: 15_000 } },
    hookTimeout: 30_000,
  },
});
