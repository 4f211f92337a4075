import type { JobSchema } from "#contract/check-job.ts";
import { PermanentError, toErrorReport } from "#contract/errors.ts";
import { inputHash, isDataAddress } from "#contract/input-address.ts";
import { inputFieldsOf } from "#contract/input-fields.ts";
import type { Job } from "#contract/job.ts";
import { isAddress, loraChoices } from "#contract/loras.ts";
import { canonicalConfig } from "#contract/synonyms.ts";
import type { Config } from "#runtime/container/config.ts";
import { AddressGuard, type AddressGuardOptions } from "../address-guard.ts";
import { fieldAt, textsOf } from "./job-texts.ts";

interface Named {
  readonly field: string;
  readonly address: string;
}

const otherWays =
  "The file itself may be sent, too: upload it (POST /inputs; on the command line --input name=@file), or, where it is small, put it into the job as a data: address.";

/** What the operator of a container lets jobs name. */
export type AddressRules = Pick<AddressGuardOptions, "allowedHosts" | "projectUrl">;

export function addressRules({ inputs, supabase }: Pick<Config, "inputs" | "supabase">): AddressRules {
  return { allowedHosts: inputs.allowedHosts, projectUrl: supabase?.url ?? null };
}

/**
 * Refuses addresses that the download would refuse at the job's turn, as far as is known before a host is resolved.
 * @throws PermanentError INPUT_REFUSED naming the field
 */
export function checkAddresses(job: Job, schema: JobSchema, rules: AddressRules): void {
  const named = namedBy(job, schema);
  if (named.length === 0) return;
  const guard = new AddressGuard(rules);
  for (const { field, address } of named) {
    try {
      guard.check(address);
    } catch (cause) {
      const message = `${toErrorReport(cause).message} ${otherWays}`;
      const details = [{ field, message }];
      throw new PermanentError(`${field}: ${message}`, { code: "INPUT_REFUSED", cause, details });
    }
  }
}

function namedBy(job: Job, schema: JobSchema): Named[] {
  const places = inputFieldsOf(schema);
  // Also at the top or in `config`, where older producers have what belongs into `metadata`.
  const names = new Set(places.filter(({ takes }) => takes !== "weights").map(({ path }) => path.at(-1)));
  const media = textsOf(job, [])
    .filter(({ path, text }) => names.has(fieldAt(path)) && text !== "")
    .map(({ path, text }) => ({ field: path.join("."), address: text }));
  const weights = places.some(({ takes }) => takes === "weights") ? lorasOf(job) : [];
  return [...media, ...weights].filter(({ address }) => !isDataAddress(address) && inputHash(address) === null);
}

/** A LoRA may also be named by its file, which is no address. */
function lorasOf({ config }: Job): Named[] {
  const choices = loraChoices.safeParse(canonicalConfig(config).loras).data ?? [];
  return choices
    .map(({ source }) => ({ field: "config.loras", address: source }))
    .filter(({ address }) => isAddress(address));
}
