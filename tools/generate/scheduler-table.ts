import { schedulerAliases, schedulerKey, schedulerNames } from "#contract/scheduler-names.ts";
import { createScheduler } from "#pipelines/schedulers/index.ts";
import { friendlyNames } from "#pipelines/schedulers/registry.ts";

/** The schedulers that a job may name, as a Markdown table: what people call each, and diffusers' class. */
export function schedulerTable(): string {
  const rows = schedulerNames.flatMap((name) => {
    const found = Object.entries(friendlyNames).find(([friendly]) => friendly === name);
    if (found === undefined) return [];
    const { className } = createScheduler(name, {}, "scheduler_config.json");
    return [[`\`${name}\``, aliasesOf(name), `\`${className}\``, said(found[1].config)]];
  });
  const head = ["name", "also", "diffusers' class", "what the name says beyond the class"];
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |\n`).join("");
}

function aliasesOf(name: string): string {
  const aliases = Object.entries(schedulerAliases).flatMap(([alias, of]) => (of === name ? [`\`${alias}\``] : []));
  const nodeName = name.replace("dpm++", "dpmpp");
  return [
    ...(nodeName === name || schedulerKey(nodeName) !== schedulerKey(name) ? [] : [`\`${nodeName}\``]),
    ...aliases,
  ].join(", ");
}

function said(config: Readonly<Record<string, unknown>>): string {
  return Object.entries(config)
    .filter(([, value]) => value !== false)
    .map(([key, value]) => `\`${key}\` ${String(value)}`)
    .join(", ");
}
