import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**"],
    globalSetup: ["test/support/global-setup.ts"],
    // Executors, servers and ONNX sessions are real in these tests; two cores do not carry more than two files.
    maxWorkers: 2,
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
