interface BhTerms {
  /** rₖ: where earlier levels lie, in units of the step. */
  readonly ratios: readonly number[];
  /** h·φ₁(h) = eʰ − 1 */
  readonly phi1: number;
  /** B(h): h, or eʰ − 1 */
  readonly scale: number;
  /** Row i: the i-th powers of the ratios and of 1. */
  readonly matrix: number[][];
  /** i!·h·φᵢ₊₁(h) / B(h) */
  readonly right: number[];
}

export interface UniPcTerms extends BhTerms {
  readonly sampleFactor: number;
  /** α of the target where images are remembered, σ where noise is. */
  readonly weight: number;
}

/** Equation 12 of the paper, rounded to float32 as diffusers does: differences of near numbers decide the last digits. */
export function bhTerms(h: number, ratios: readonly number[], isLinear: boolean): BhTerms {
  const phi1 = Math.fround(Math.expm1(h));
  const scale = isLinear ? h : phi1;
  const nodes = [...ratios, 1];
  const matrix: number[][] = [];
  const right: number[] = [];
  let phi = Math.fround(Math.fround(phi1 / h) - 1);
  let factorial = 1;
  for (let power = 0; power < nodes.length; power++) {
    matrix.push(nodes.map((node) => Math.fround(node ** power)));
    right.push(Math.fround(Math.fround(phi * factorial) / scale));
    factorial *= power + 2;
    phi = Math.fround(Math.fround(phi / h) - Math.fround(1 / factorial));
  }
  return { ratios, phi1, scale, matrix, right };
}

/** Solves a small linear system by elimination with pivots. */
export function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, right[index] ?? 0]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    const rest = rows.slice(column).sort((a, b) => Math.abs(b[column] ?? 0) - Math.abs(a[column] ?? 0));
    rows.splice(column, rest.length, ...rest);
    const pivot = rows[column] ?? [];
    for (const row of rows.slice(column + 1)) {
      const factor = (row[column] ?? 0) / (pivot[column] ?? 1);
      for (let index = column; index <= size; index++) row[index] = (row[index] ?? 0) - factor * (pivot[index] ?? 0);
    }
  }
  const solution = new Array<number>(size).fill(0);
  for (let index = size - 1; index >= 0; index--) {
    const row = rows[index] ?? [];
    const known = solution.reduce((sum, value, column) => sum + (column > index ? value * (row[column] ?? 0) : 0), 0);
    solution[index] = ((row[size] ?? 0) - known) / (row[index] ?? 1);
  }
  return solution;
}
