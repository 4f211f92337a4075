import { z } from "zod";
import { type SessionTurn, sessionId } from "#contract/chat-sessions.ts";
import { PermanentError } from "#contract/errors.ts";
import {
  type AssetOptions,
  type CallOptions,
  type ChildJob,
  type JobOutput,
  maxTextCharacters,
  type Preview,
  type Stage,
} from "#contract/handler.ts";
import { houseMessage } from "#contract/house-messages.ts";
import { type Json, NotJsonError, requireJsonObject } from "#contract/plain-json.ts";

/*
 * What a handler hands to its `ctx`, and returns: checked at the call, where its author sees it, and copied, so that nothing
 * that another process could not be sent, or a database keep, gets any further. Whatever is refused cannot be helped by
 * another attempt.
 */

/** @throws PermanentError HANDLER_FAILED naming the method and the place */
function refused(what: string, problem: string): PermanentError {
  return new PermanentError(`${what}: ${problem}`);
}

/** The first problem of a value whose shape is wrong, with its path. */
function shaped<Schema extends z.ZodType>(what: string, schema: Schema, value: unknown): z.output<Schema> {
  const result = parsed(what, schema, value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw refused(
    what,
    issue === undefined ? "is wrong" : [issue.path.map(String).join("."), issue.message].filter(Boolean).join(": "),
  );
}

function parsed<Schema extends z.ZodType>(what: string, schema: Schema, value: unknown) {
  try {
    return schema.safeParse(value, { error: houseMessage });
  } catch {
    // A getter, or a proxy.
    throw refused(what, "cannot be read");
  }
}

function plain<Result>(what: string, copy: () => Result): Result {
  try {
    return copy();
  } catch (error) {
    if (error instanceof NotJsonError) throw refused(what, error.message);
    throw error;
  }
}

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, "must be bytes (a Uint8Array)");
const count = z.number("must be a finite number").min(0, "must be at least 0");
const preview = z.object({ mimeType: z.enum(["image/webp", "image/png", "image/jpeg"]), bytes });
const progress = z
  .object({ step: count, total: count, preview: preview.optional() })
  .refine(({ step, total }) => step <= total, { path: ["step"], message: "must not be more than total" });

export function checkedProgress(step: number, total: number, picture: Preview | undefined) {
  return shaped("ctx.progress refuses what it got", progress, { step, total, preview: picture });
}

const stage = z.object({
  name: z.string().regex(/^[a-z][a-z0-9_]{0,39}$/, "must be one of few fixed names in snake_case"),
  seconds: count,
  startedAtMs: z.number().optional(),
  model: z.string().max(200).optional(),
  freed: z.string().max(200).optional(),
});

export function checkedStage(value: Stage): Stage {
  return shaped("ctx.stage refuses what it got", stage, value);
}

const extension = z
  .string()
  .regex(/^[a-z0-9]{1,8}$/, "must be a file's extension: 1 to 8 lower-case letters or digits");
const mimeType = z.string().regex(/^[\w.+-]{1,100}\/[\x20-\x7e]{1,100}$/, "must be a media type");
const content = z.union([bytes, z.object({ file: z.string() })], "must be bytes (a Uint8Array) or { file: path }");
const assetOptions = z.object({
  type: z.enum(["image", "video", "text"]),
  extension,
  mimeType,
  thumbnail: z.object({ extension, mimeType, bytes }).optional(),
});

export function checkedAsset(given: Uint8Array | { readonly file: string }, options: AssetOptions) {
  const what = "ctx.asset refuses what it got";
  const checked = shaped(what, z.object({ content, options: assetOptions }), { content: given, options });
  const metadata = plain(what, () => requireJsonObject(options.metadata, "metadata"));
  return { content: checked.content, options: { ...checked.options, metadata } };
}

/** What a child has from its parent. */
const inherited = ["id", "user_id", "priority", "created_at"] as const;
const childJob = z.looseObject({ type: z.string(), prompt: z.string().optional() }).superRefine((child, context) => {
  for (const field of inherited)
    if (child[field] !== undefined)
      context.addIssue({ code: "custom", path: [field], message: "is given to the child and cannot be chosen" });
});

export function checkedChild(child: ChildJob): ChildJob {
  const what = "ctx.enqueue refuses the job";
  const { type } = shaped(what, childJob, child);
  const { config, metadata, ...fields } = child;
  return plain(what, () => ({
    ...requireJsonObject(fields, "job"),
    type,
    ...(config === undefined ? {} : { config: requireJsonObject(config, "config") }),
    ...(metadata === undefined ? {} : { metadata: requireJsonObject(metadata, "metadata") }),
  }));
}

export function checkedSessionId(method: "session" | "remember", id: string): string {
  return shaped(`ctx.${method} refuses the session's id`, sessionId, id);
}

const turn = z.object({ prompt: z.string("must be a text"), response: z.string("must be a text") });

export function checkedTurn(value: SessionTurn): SessionTurn {
  return shaped("ctx.remember refuses the turn", turn, value);
}

export function checkedUrl(url: string): string {
  return shaped("ctx.input refuses the address", z.string("must be a text"), url);
}

export function checkedLora(source: string): string {
  return shaped("ctx.lora refuses the source", z.string("must be a text"), source);
}

export function checkedModelName(name: string): string {
  return shaped("ctx.model refuses the name", z.string("must be a text"), name);
}

export function checkedInnerJob(job: Readonly<Record<string, unknown>>): Readonly<Record<string, Json>> {
  return plain("ctx.run refuses the job", () => requireJsonObject(job, "job"));
}

const call = z.object({
  type: z.string(),
  options: z.object({
    signal: z.instanceof(AbortSignal, { error: "must be an AbortSignal" }).optional(),
    onText: z
      .custom<NonNullable<CallOptions["onText"]>>((value) => typeof value === "function", "must be a function")
      .optional(),
    timeoutSeconds: z.number().positive("must be more than 0").max(86_400, "must be at most a day").optional(),
  }),
});

/** @param handler who calls, and what its `calls` names */
export function checkedCall(
  handler: { readonly type: string; readonly calls?: readonly string[] | undefined },
  given: { readonly type: string; readonly job: Readonly<Record<string, unknown>>; readonly options: CallOptions },
) {
  const what = "ctx.call refuses what it got";
  const { type, options } = shaped(what, call, given);
  if (!handler.calls?.includes(type))
    throw refused(what, `${handler.type} calls "${type}" without saying so: add it to the handler's list \`calls\``);
  const { id, user_id, type: other, ...job } = plain(what, () => requireJsonObject(given.job, "job"));
  const chosen = Object.entries({ id, user_id, type: other }).find(([, value]) => value !== undefined);
  if (chosen !== undefined) throw refused(what, `job.${chosen[0]}: is given to the call and cannot be chosen`);
  return { type, job, options };
}

/** @param before how many characters the attempt has given already */
export function checkedText(delta: string, before: number): string {
  const what = "ctx.text refuses what it got";
  const text = shaped(what, z.string("must be a text"), delta);
  if (before + text.length > maxTextCharacters)
    throw refused(what, `an attempt may give ${maxTextCharacters.toLocaleString("en-US")} characters in all`);
  return text.toWellFormed();
}

const output = z
  .object({
    metadata: z.unknown(),
    enhanced_prompt: z.string().nullish(),
    text: z
      .string()
      .max(maxTextCharacters, `must be at most ${maxTextCharacters.toLocaleString("en-US")} characters`)
      .nullish(),
  })
  .partial()
  .nullish();

/** What `run` returned; a handler may return nothing. */
export function checkedOutput(handler: string, returned: unknown): JobOutput {
  const what = `The handler ${handler} returned what is not its output`;
  const { metadata, enhanced_prompt, text } = shaped(what, output, returned) ?? {};
  return {
    metadata: plain(what, () => requireJsonObject(metadata ?? undefined, "metadata")),
    ...(typeof enhanced_prompt === "string" ? { enhanced_prompt: enhanced_prompt.toWellFormed() } : {}),
    ...(typeof text === "string" ? { text: text.toWellFormed() } : {}),
  };
}
