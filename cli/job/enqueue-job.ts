import type { OurvidzClient } from "#client/client.ts";
import { overdueProblem } from "#contract/expiry.ts";
import { inputAddress } from "#contract/input-address.ts";
import { inputFieldsIn } from "#contract/input-fields.ts";
import { jobEnvelope } from "#contract/job.ts";
import { currentJobType } from "#contract/job-types.ts";
import { invalidJob } from "#contract/problems.ts";
import type { Accepted } from "#functions/api/schemas/submission.ts";
import type { Config } from "#runtime/container/config.ts";
import { loadHandlers } from "#runtime/job-types/registry.ts";
import { exitCodes, usageError } from "../errors.ts";
import { noteIgnored, printResult } from "../output.ts";
import { withPipedPrompt } from "../prompts/piped-prompt.ts";
import { type OpenQueue, type QueueChoice, withFirstQueue } from "../queue.ts";
import { remoteClient } from "../remote/remote-client.ts";
import { type GlobalOptions, readSettings } from "../settings.ts";
import { type DescribedJob, describedJob, describeJob, type PlannedJob, planJob } from "./build-job.ts";
import { type LocalFile, localFilesOf, withAddresses, withInputs } from "./local-inputs.ts";
import type { JobOptions } from "./options.ts";

export interface EnqueueCommandOptions extends GlobalOptions, JobOptions, QueueChoice {
  readonly delay?: number;
  readonly idempotencyKey?: string;
}

/** The command serves no files: a container does. */
const advice =
  "send the job to a container with --url, which can serve the file, set SUPABASE_URL and SUPABASE_SERVICE_KEY for a storage that all of them read, or give the file's own https address";
/** As over HTTP: 30 days. */
const maxDelaySeconds = 2_592_000;
const maxKeyCharacters = 255;

/** The body of `ourvidz enqueue`. What is wrong with the job is reported before the data folder is touched. */
export async function enqueueJob(
  [type = "", ...words]: readonly string[],
  options: EnqueueCommandOptions,
): Promise<number> {
  const { delay = 0, idempotencyKey: key } = options;
  if (delay < 0 || delay > maxDelaySeconds)
    throw usageError(`--delay is ${delay}: it must be 0 to 2,592,000 seconds (30 days).`);
  if (key !== undefined && (key === "" || key.length > maxKeyCharacters))
    throw usageError(`--idempotency-key has ${key.length} characters: it must have 1 to ${maxKeyCharacters}.`);
  const queueing = { delay_seconds: delay, ...(key === undefined ? {} : { idempotency_key: key }) };
  const operands = [type, ...(await withPipedPrompt(words))];
  const client = await remoteClient(options);
  if (client !== null)
    return printOutcome(
      options,
      await client.enqueue({ ...(await remoteJob(client, operands, options)), ...queueing }),
    );
  const config = await readSettings(options, { serves: false });
  const described = await describeJob(await loadHandlers(config.handlersFolder), operands, options);
  // Checked before anything is opened or stored.
  const { unread, job: planned } = planJob(described, standIns(described.files), options);
  const overdue = key === undefined ? overdueProblem(planned, Date.now()) : null;
  if (overdue !== null) throw invalidJob([overdue]);
  const { addressRules, checkAddresses } = await import("#runtime/inputs/uploads/check-addresses.ts");
  checkAddresses(planned, described.handler, addressRules(config));
  const { jobId, position, created, status } = await withFirstQueue(config, options, async (open) => {
    const { job, handler } = await withStoredFiles(described, config, options, open);
    const { queue } = open;
    const outcome = await queue.enqueue(job, {
      worker: handler.worker,
      delaySeconds: delay,
      ...(key === undefined ? {} : { idempotencyKey: key }),
    });
    const known = outcome.created ? undefined : await queue.get(outcome.jobId);
    return { ...outcome, status: known?.status ?? "queued" };
  });
  return printOutcome(options, { job_id: jobId, status, queue_position: position, created, ...unread });
}

/** The container knows which job types it has and what they take. */
async function remoteJob(client: OurvidzClient, operands: readonly string[], options: JobOptions) {
  const [type = "", ...words] = operands;
  const given = describedJob(type, words, options);
  if (options.input === undefined && !JSON.stringify(given).includes('"@')) return given;
  const { job_types } = await client.info();
  const schema = job_types.find((each) => each.type === currentJobType(type))?.schema;
  const places = schema === undefined ? [] : inputFieldsIn(schema);
  const fields = withInputs(given, options.input ?? [], places);
  const { uploadFiles } = await import("./store-files.ts");
  const addresses = await uploadFiles(await localFilesOf(fields, places, options), client, options.user);
  return { ...withAddresses(fields, places, addresses), type };
}

/** What a file's address will look like. */
function standIns(files: readonly LocalFile[]): ReadonlyMap<string, string> {
  return new Map(files.map(({ text }, index) => [text, inputAddress(String(index).padStart(64, "0"))]));
}

/** The job, with its files where the containers of its queue find them. */
async function withStoredFiles(
  described: DescribedJob,
  config: Config,
  options: JobOptions,
  { queue, embedded }: OpenQueue,
): Promise<PlannedJob> {
  if (described.files.length === 0) return planJob(described, new Map(), options);
  const [{ openUploads, storeFiles }, { admitInputs }, { addressRules }] = await Promise.all([
    import("./store-files.ts"),
    import("#runtime/inputs/uploads/admit-inputs.ts"),
    import("#runtime/inputs/uploads/check-addresses.ts"),
  ]);
  const uploads = await openUploads(config, await embedded(), queue);
  const { user_id: userId } = jobEnvelope.pick({ user_id: true }).parse({ user_id: options.user });
  const planned = planJob(described, await storeFiles(described.files, uploads, userId), options);
  const [name = ""] = queue.byName.keys();
  const isEmbedded = config.configuredSources.some((source) => source.name === name && source.isEmbedded);
  const publicUrl = config.http.publicUrl ?? null;
  const admission = { uploads, queue: { name, isEmbedded }, publicUrl, rules: addressRules(config), advice };
  return { ...planned, job: await admitInputs(planned.job, planned.handler, admission) };
}

function printOutcome(
  options: EnqueueCommandOptions,
  outcome: Omit<Accepted, "status"> & { readonly status: string },
): number {
  const { job_id, status, queue_position, created } = outcome;
  const text = created
    ? `${job_id} is queued (position ${queue_position})`
    : `${job_id} was enqueued before and is ${status}`;
  printResult(options, outcome, text);
  noteIgnored(options, outcome);
  return exitCodes.completed;
}
