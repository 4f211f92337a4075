const steps = ["B", "kB", "MB", "GB", "TB"] as const;

/** `3.1 MB`, in powers of 1000. */
export function bytes(count: number): string {
  const step = Math.min(steps.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  return `${(count / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${steps[step]}`;
}
