import { CodedError } from "#contract/errors.ts";
import { isModelName } from "#runtime/executor/models.ts";

/** A model repository of the hub, and a place in its history. */
export interface RepositoryReference {
  /** `owner/name`, or a `name` alone for the few that have no owner. */
  readonly repo: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const repoName = /^(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95}$/;
/** Git's rules for names, as far as they matter in an address: `refs/pr/3` is one. */
const revisionName = /^[\w][\w./-]{0,199}$/;
const commitId = /^[0-9a-f]{40}$/;

/**
 * Reads `owner/name@revision`; without a revision it is `main`.
 * @throws CodedError INVALID_REQUEST
 */
export function parseRepository(text: string): RepositoryReference {
  const [repo = "", revision = "main", ...rest] = text.split("@");
  const isValid =
    rest.length === 0 && repoName.test(repo) && revisionName.test(revision) && !/\.\.|\.git$|\/$/.test(text);
  if (!isValid)
    throw new CodedError(
      "INVALID_REQUEST",
      `"${text.slice(0, 300)}" names no repository: write owner/name, or owner/name@revision with a branch, a tag or a commit.`,
    );
  return { repo, revision };
}

export function isCommit(revision: string): boolean {
  return commitId.test(revision);
}

/** A model that is to be there under a name. */
export interface WantedModel extends RepositoryReference {
  readonly name: string;
  /** Of a language model, as in its files' names: `q4f16`; when absent, what suits the machine. */
  readonly precision?: string;
}

const precisionName = /^[a-z0-9][a-z0-9_]{1,19}$/;

/**
 * Reads `owner/name@revision:precision`.
 * @param name the model's here; by default that of the repository
 * @throws CodedError INVALID_REQUEST; also when the name is none that a job may use
 */
export function wantedModel(text: string, name?: string, precision?: string): WantedModel {
  const [address = "", suffix] = text.split(/:(?!\/\/)/, 2);
  const wished = precision ?? suffix;
  if (wished !== undefined && !precisionName.test(wished))
    throw new CodedError(
      "INVALID_REQUEST",
      `"${wished.slice(0, 50)}" is no precision: fp32, fp16, q4f16, q4, int8 are.`,
    );
  const reference = { ...parseRepository(address), ...(wished === undefined ? {} : { precision: wished }) };
  const chosen = name ?? reference.repo.slice(reference.repo.indexOf("/") + 1);
  if (isModelName(chosen)) return { ...reference, name: chosen };
  const message = `"${chosen}" is not a model's name: use up to 100 letters, digits, '.', '_' and '-', the first a letter or a digit`;
  throw new CodedError("INVALID_REQUEST", name === undefined ? `${message}; choose another with --as.` : `${message}.`);
}

/** `sdxl=owner/name@revision`, `chat=owner/name:q4f16`, as MODELS lists them. @throws CodedError INVALID_REQUEST */
export function parseWantedModel(text: string): WantedModel {
  const [, name = "", repository = ""] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name !== "") return wantedModel(repository, name);
  throw new CodedError(
    "INVALID_REQUEST",
    `"${text}" does not say which model is to be fetched: write name=owner/name.`,
  );
}
