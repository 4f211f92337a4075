import { describe, expect, it } from "vitest";
import { z } from "zod";
import { checkJob } from "./check-job.ts";
import { jobEnvelope } from "./job.ts";
import { resultFields } from "./result-fields.ts";
import { loraNames } from "./synonyms.ts";

const names = Object.values(resultFields).flat();
const parameters = z.object({ steps: z.number().optional() });
const job = (fields: object) => ({ id: "job-1", type: "stripes", ...fields });
const problemsOf = (schema: Parameters<typeof checkJob>[0], given: object) => {
  const checked = checkJob(schema, job(given));
  return checked.ok ? [] : checked.problems.map(({ field }) => field);
};

describe("what makes another result", () => {
  it.each(names)("%s is refused by a job type that does not read it, in config and beside it", (name) => {
    const schema = { input: jobEnvelope, parameters };
    expect(problemsOf(schema, { config: { [name]: "ann/a.png" } })).toEqual([`config.${name}`]);
    expect(problemsOf(schema, { [name]: "ann/a.png" })).toEqual([name]);
  });

  it.each(names.filter((name) => !loraNames.some((one) => one === name)))(
    "%s is taken by one that declares it",
    (name) => {
      const withIt = { input: jobEnvelope, parameters: parameters.extend({ [name]: z.string() }) };
      expect(problemsOf(withIt, { config: { [name]: "ann/a.png" } })).toEqual([]);
      const inConfig = { input: jobEnvelope.extend({ config: z.looseObject({ [name]: z.string() }) }), parameters };
      expect(problemsOf(inConfig, { config: { [name]: "ann/a.png" } })).toEqual([]);
      const beside = { input: jobEnvelope.extend({ [name]: z.string() }), parameters };
      expect(problemsOf(beside, { [name]: "ann/a.png" })).toEqual([]);
    },
  );

  it.each(["activated_loras", "additional_loras"])("%s is taken by one that declares loras", (name) => {
    const withLoras = { input: jobEnvelope, parameters: parameters.extend({ loras: z.unknown() }) };
    expect(problemsOf(withLoras, { config: { [name]: "ink" } })).toEqual([]);
  });

  it("is nobody's business where the code of the job type reads config as it likes", () => {
    expect(problemsOf({ input: jobEnvelope }, { config: { mask: "ann/mask.png" } })).toEqual([]);
  });

  it.each([null, "", false, 0, [], {}])("is not there when it is %j", (nothing) => {
    expect(problemsOf({ input: jobEnvelope, parameters }, { config: { lora: nothing }, mask: nothing })).toEqual([]);
  });

  it("is named with its value and what it is", () => {
    const checked = checkJob({ input: jobEnvelope, parameters }, job({ config: { loras: ["style"] } }));
    expect(checked).toEqual({
      ok: false,
      problems: [
        {
          field: "config.loras",
          value: ["style"],
          message: "must be left out: jobs of this type do nothing with a LoRA",
        },
      ],
    });
  });
});
