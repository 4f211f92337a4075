/** One setting whose result is compared with that of the Python reference. */
export interface FidelityCase {
  /** What is set, as a reader of the table knows it: `UniPC, Karras sigmas`. */
  readonly setting: string;
  /** What computed the expected values: a class or a function of diffusers, torch or compel. */
  readonly reference: string;
  /** The largest difference that its golden test allows. */
  readonly limit: number;
  /** Computes the setting's cases and returns their largest difference; infinity where there is nothing to compare. */
  measure(): number | Promise<number>;
}

/** The cases of one part of the pipelines; its golden test goes through the same list. */
export interface FidelityArea {
  readonly title: string;
  /** What a difference is, in one sentence. */
  readonly difference: string;
  readonly cases: readonly FidelityCase[];
}

/** The columns of the table that do not depend on the machine. */
export function settingRows({ cases }: FidelityArea): string[] {
  return cases.map(({ setting, reference, limit }) => `| ${setting} | ${reference} | ${shown(limit)} |`);
}

/** A Markdown table of an area, measured now. */
export async function fidelityTable(area: FidelityArea): Promise<string> {
  const rows: string[] = [];
  for (const fidelityCase of area.cases) {
    const { setting, reference, limit } = fidelityCase;
    rows.push(`| ${setting} | ${reference} | ${shown(await fidelityCase.measure())} | ${shown(limit)} |`);
  }
  const head = ["| setting | reference | greatest difference | limit |", "|---|---|---|---|"];
  return [`### ${area.title}`, "", area.difference, "", ...head, ...rows, ""].join("\n");
}

function shown(value: number): string {
  return value === 0 ? "0" : value.toExponential(1);
}
