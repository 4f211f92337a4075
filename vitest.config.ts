import { configDefaults, defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Tests that start whole containers, command lines and browsers, and those that see what their process keeps (a model, ffmpeg's
 * place), which children it has, or how much time it takes.
 */
const scenarioFiles = [
  "{cli,test}/**/*.test.ts",
  "pipelines/{external,references,video,wan}/**/*.test.ts",
  "pipelines/**/{answer-chat,enhance-prompt,generate-images}.test.ts",
  "{functions/http/loop-time,runtime/executor/watchdog/processes}.test.ts",
];

/** Scenarios first, as some of them take a minute: the many short files fill up the end. */
class ScenariosFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return [...sorted.filter(isScenario), ...sorted.filter((file) => !isScenario(file))];
  }
}

function isScenario({ project }: TestSpecification): boolean {
  return project.name === "scenarios";
}

const common: NonNullable<TestProjectInlineConfiguration["test"]> = {
  // Executors, servers and ONNX sessions are real in these tests. A third of their time is waiting, for a lease to run
  // out or a process to end: three files at a time keep two cores busy, and more make the tests of short times fail.
  maxWorkers: 3,
  pool: "forks",
  // Some take 18 s on a quiet machine: a limit is for what hangs.
  testTimeout: 60_000,
  // What is waited for comes at once; on a busy machine that takes longer than the second that is the default.
  expect: { poll: { timeout: 15_000 } },
  hookTimeout: 60_000,
  // Node runs the tests as it runs the product, from the compile cache that the children share. No test mocks a module.
  experimental: { viteModuleRunner: false, nodeLoader: false },
};

export default defineConfig({
  test: {
    ...common,
    globalSetup: ["test/support/global-setup.ts"],
    sequence: { sequencer: ScenariosFirst },
    projects: [
      { test: { ...common, name: "scenarios", include: scenarioFiles } },
      {
        test: {
          ...common,
          name: "units",
          include: ["**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...scenarioFiles],
          // Most of these files take less time than a new process and its imports: they run in the same three.
          isolate: false,
          setupFiles: ["test/support/house-words.ts"],
        },
      },
    ],
  },
});
