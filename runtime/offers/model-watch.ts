import { join } from "node:path";
import { CodedError, type ErrorReport, toErrorReport } from "#contract/errors.ts";
import { type FolderReport, inspectModel } from "#runtime/check/models/inspect-model.ts";
import { modelFolders } from "#runtime/check/models/inspect-models.ts";
import { findModel, isModelName, readAliases } from "#runtime/executor/models.ts";
import { filesIn, signatureOf } from "#runtime/lib/folder-files.ts";
import type { ModelFacts } from "./compute-offer.ts";
import { lookAgainMs } from "./conditions.ts";

interface Known {
  readonly report: FolderReport;
  /** Looks in a row that found it broken. */
  readonly times: number;
  readonly nextLookMs: number;
}

/** Why a model of this name is not there yet; null when none is on its way. */
export type ComingOf = (name: string) => ErrorReport | null;

/**
 * Which models are there and in order. A look costs directory entries and `stat` calls; a folder is read when its files
 * have changed, and one that is broken now and then, for a disk may come back without a change.
 */
export class ModelWatch {
  readonly #modelsFolder: string;
  readonly #nowMs: () => number;
  readonly #comingOf: ComingOf;
  readonly #known = new Map<string, Known>();
  #models: ReadonlyMap<string, ModelFacts> = new Map();
  #aliases: Readonly<Record<string, string>> = {};
  #missing: ReadonlyMap<string, ErrorReport> = new Map();
  #hasLooked = false;
  /** Every name that stood for a model since the start, or that an alias stands for. */
  readonly #expected = new Set<string>();

  constructor(modelsFolder: string, nowMs: () => number, comingOf: ComingOf = () => null) {
    this.#modelsFolder = modelsFolder;
    this.#nowMs = nowMs;
    this.#comingOf = comingOf;
  }

  /** By every name and alias. */
  get models(): ReadonlyMap<string, ModelFacts> {
    return this.#models;
  }

  /** Why a model is not there, or not in order; null when it is. @param name one that the last look was given, or any that is there */
  problemOf(name: string): ErrorReport | null {
    // Before the first look nothing is known to be wrong.
    if (!this.#hasLooked) return null;
    const facts = this.#models.get(name);
    if (facts === undefined)
      return (
        this.#comingOf(name) ??
        this.#missing.get(name) ?? {
          code: "MODEL_NOT_FOUND",
          message: `There is no model "${name}" here: ourvidz models lists those that are.`,
        }
      );
    if (facts.problems.length === 0) return null;
    return { code: "MODEL_INVALID", message: `${facts.problems.join("; ")}.` };
  }

  /**
   * Whether the model was never here, and nothing says that it should be: no container has to have every model. Nor is one
   * that is on its way a fault; what keeps it from coming is said by who fetches it.
   */
  isAbsent(name: string): boolean {
    return this.#hasLooked && (!this.#expected.has(name) || this.#isComing(name));
  }

  /** Real name of the folder that stands for a name, also while it is missing; the name itself when none does. */
  folderOf(name: string): string {
    const alias = this.#isComing(name) ? undefined : this.#aliases[name];
    return this.#models.get(name)?.folder ?? alias ?? name;
  }

  #isComing(name: string): boolean {
    return !this.#models.has(name) && this.#comingOf(name) !== null;
  }

  /** Which models are there, by name alone: each counts as in order until it is read. */
  async list(): Promise<void> {
    this.#models = await this.#each(async (name, path, models) => {
      models.set(name, { folder: name, problems: [], signature: path });
    });
  }

  /** @param needed the models that handlers name */
  async look(needed: readonly string[]): Promise<void> {
    const models = await this.#each((name, path, found) => this.#lookAt(name, path, found));
    for (const name of this.#known.keys()) if (!models.has(name)) this.#known.delete(name);
    const absent = [...new Set(needed)].filter((name) => !models.has(name));
    const missing = await Promise.all(absent.map(async (name) => [name, await this.#reasonFor(name)] as const));
    this.#models = models;
    this.#missing = new Map(missing);
    this.#hasLooked = true;
  }

  /** Every model folder, and the aliases of those that `lookAt` has put into `models`. */
  async #each(
    lookAt: (name: string, path: string, models: Map<string, ModelFacts>) => Promise<void>,
  ): Promise<ReadonlyMap<string, ModelFacts>> {
    const folders = await modelFolders(this.#modelsFolder).catch(ifCoded<string[]>([]));
    const aliases = await readAliases(this.#modelsFolder).catch(ifCoded<Readonly<Record<string, string>>>({}));
    this.#aliases = aliases;
    const names = folders.filter(isModelName);
    const models = new Map<string, ModelFacts>();
    await Promise.all(names.map(async (name) => lookAt(name, join(this.#modelsFolder, name), models)));
    for (const name of [...names, ...Object.keys(aliases)]) this.#expected.add(name);
    for (const [alias, target] of Object.entries(aliases)) {
      const facts = models.get(target);
      // Nothing stands in for a model that is on its way: its jobs are for that one.
      if (facts !== undefined && !models.has(alias) && this.#comingOf(alias) === null) models.set(alias, facts);
    }
    return models;
  }

  async #lookAt(name: string, path: string, models: Map<string, ModelFacts>): Promise<void> {
    // Gone since the folders were listed.
    const files = await filesIn(path).catch(() => null);
    if (files === null) return;
    const signature = signatureOf(files);
    const known = this.#known.get(name);
    const isDue = known !== undefined && known.times > 0 && known.nextLookMs <= this.#nowMs();
    if (known?.report.signature === signature && !isDue) {
      models.set(name, { folder: name, problems: known.report.problems, signature });
      return;
    }
    const report = await inspectModel(path).catch(() => null);
    if (report === null) return;
    const times = report.problems.length === 0 ? 0 : (known?.report.signature === signature ? known.times : 0) + 1;
    this.#known.set(name, { report, times, nextLookMs: this.#nowMs() + lookAgainMs(Math.max(1, times)) });
    models.set(name, { folder: name, problems: report.problems, signature: report.signature });
  }

  async #reasonFor(name: string): Promise<ErrorReport> {
    try {
      await findModel(this.#modelsFolder, name);
      return { code: "MODEL_NOT_FOUND", message: `The model "${name}" came in this moment.` };
    } catch (error) {
      return toErrorReport(error, "MODEL_NOT_FOUND");
    }
  }
}

/** A models folder that is not there has no models, and unreadable aliases stand for none: what is missing is named anyway. */
function ifCoded<Value>(value: Value): (error: unknown) => Value {
  return (error) => {
    if (error instanceof CodedError) return value;
    throw error;
  };
}
