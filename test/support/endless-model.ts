import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const fixture = join(import.meta.dirname, "../../pipelines/chat/fixtures/tiny-qwen2");

/** A language model that goes on until `max_tokens`: it has room for them all, and an end mark that it cannot write. */
export function makeEndless(folder: string): void {
  cpSync(fixture, folder, { recursive: true });
  change(join(folder, "config.json"), { max_position_embeddings: 100_000 });
  change(join(folder, "generation_config.json"), { eos_token_id: [1_000_000] });
}

function change(file: string, values: object): void {
  const json: unknown = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...Object(json), ...values }));
}
