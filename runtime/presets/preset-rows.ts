import { type Preset, presetOfRow, presetRow } from "#contract/enhancement-presets.ts";
import { CodedError } from "#contract/errors.ts";
import { describeProblems, parseWith } from "#contract/problems.ts";
import { isJsonObject } from "#contract/synonyms.ts";
import { type Project, ProjectClient } from "#runtime/lib/project-client.ts";

const columns = "preset,title,target_model,system_prompt,examples,max_tokens,token_limit,settings";
const requestTimeoutMs = 10_000;
const maxRows = 1000;

export interface PresetRows {
  readonly presets: readonly Preset[];
  /** Sentences that name the rows that are left out. */
  readonly problems: readonly string[];
}

/** Reads the view ourvidz_enhancement_presets of a Supabase project. */
export class PresetTable {
  readonly #client: ProjectClient;

  constructor(project: Project) {
    this.#client = new ProjectClient(project);
  }

  /** @throws CodedError DATABASE_UNREACHABLE when the table cannot be read */
  async read(): Promise<PresetRows> {
    const client = await this.#client.get();
    const { data, error } = await client
      .from("ourvidz_enhancement_presets")
      .select(columns)
      .order("preset")
      .limit(maxRows)
      .abortSignal(AbortSignal.timeout(requestTimeoutMs));
    if (error !== null) {
      throw new CodedError(
        "DATABASE_UNREACHABLE",
        `The view ourvidz_enhancement_presets cannot be read: ${error.message}`,
      );
    }
    const rows: readonly unknown[] = data;
    const read = rows.map(presetOrProblem);
    return {
      presets: read.flatMap((result) => (typeof result === "string" ? [] : [result])),
      problems: read.filter((result) => typeof result === "string"),
    };
  }
}

function presetOrProblem(row: unknown): Preset | string {
  const parsed = parseWith(presetRow, row);
  if (parsed.ok) return presetOfRow(parsed.value);
  const name = isJsonObject(row) ? JSON.stringify(row.preset) : "without a name";
  return `The row ${name} of ourvidz_enhancement_presets is left out: ${describeProblems(parsed.problems)}`;
}
