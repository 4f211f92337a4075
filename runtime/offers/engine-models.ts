import type { ErrorReport } from "#contract/errors.ts";
import type { EngineSettings } from "#runtime/engines/engine-settings.ts";
import type { ModelFacts } from "./compute-offer.ts";
import type { ModelWatch } from "./model-watch.ts";

/** The models that a worker may be asked for, wherever they are. */
export type ModelView = Pick<ModelWatch, "models" | "problemOf" | "folderOf" | "isAbsent">;

/** The models of a worker whose jobs a command runs: those that its settings name, without folders here. */
export class EngineModels implements ModelView {
  readonly models: ReadonlyMap<string, ModelFacts>;

  constructor({ models }: Pick<EngineSettings, "models">) {
    this.models = new Map(models.map((name) => [name, { folder: name, problems: [], signature: "" }]));
  }

  problemOf(name: string): ErrorReport | null {
    if (this.models.has(name)) return null;
    const message = `The worker's command does not stand for the model "${name}": where it does, add the name to WAN_COMMAND_MODELS.`;
    return { code: "MODEL_NOT_FOUND", message };
  }

  folderOf(name: string): string {
    return name;
  }

  /** Nothing is wrong: no command has to stand for every model. */
  isAbsent(name: string): boolean {
    return !this.models.has(name);
  }
}
