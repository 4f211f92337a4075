import { z } from "zod";
import type { ErrorCode, ErrorReport } from "#contract/errors.ts";
import type { SessionStore } from "#runtime/chat-sessions/session-store.ts";
import type { SupabaseConfig } from "#runtime/container/supabase-config.ts";
import type { Registry } from "#runtime/job-types/registry.ts";
import { type Environment, readVariables } from "#runtime/lib/environment.ts";
import type { Logger } from "#runtime/observe/log.ts";
import type { JobQueue, JobSource } from "./job-source.ts";
import type { SqliteSource } from "./sqlite/sqlite-source.ts";

/*
 * A source is a folder that exports one definition. Configuration, `validate`, metrics, HTTP and the command go over the
 * list of definitions in `index.ts` and know no source by its name.
 *
 * A definition is read at every start, also where its source is not used: it imports schemas and types, and the code
 * behind it (`connect`, `probe`) when that is called.
 */
export interface SourceParts<Shape extends z.ZodRawShape, Settings> {
  /** As `SOURCES` names it, and the command's option: `--<name>`. */
  readonly name: string;
  /** Its own variables. Those that it shares with others come with `SharedSettings`. */
  readonly environment: Shape;
  /** Variables whose values are never shown. */
  readonly secrets: readonly (keyof Shape & string)[];
  /** What to set to have it, its own variables or shared ones; none for what lies in the data folder. */
  readonly needs: readonly string[];
  /** Whether a container takes from it as soon as it is configured, or only when `SOURCES` names it. */
  readonly usedWhenConfigured: boolean;
  /** What the queue is, as the command's option says it. */
  readonly description: string;
  /** What is wrong between variables that are right by themselves: lines that begin with the variable's name. */
  problems?(values: Values<Shape>): readonly string[];
  /** Null when it is not configured. */
  settings(values: Values<Shape>, shared: SharedSettings): Settings | null;
  connect(settings: Settings, context: ConnectContext): Promise<ConnectedSource>;
  /** What `validate` tries. Leaves nothing behind. */
  readonly probe: {
    /** The check's name. */
    readonly name: string;
    /** Returns what was found. @throws CodedError saying what is wrong and what to do */
    run(settings: Settings, context: ConnectContext): Promise<ProbeFinding>;
  };
}

/** What works, or what works less well than it should. */
export type ProbeFinding = string | { readonly warning: string };

type Values<Shape extends z.ZodRawShape> = z.output<z.ZodObject<Shape>>;

/** What the container's other parts have in common with its sources. */
export interface SharedSettings {
  readonly workerId: string;
  readonly leaseSeconds: number;
  readonly supabase: SupabaseConfig | null;
}

export interface ConnectContext {
  /** Workers that this container knows, run here or not; none for a command of a person, which takes no jobs. */
  readonly workers: readonly string[];
  readonly log?: Logger;
  /** The job types of this container, for a source whose jobs come without saying whose they are. */
  readonly jobTypes?: Pick<Registry, "get" | "types">;
  /** Whether jobs of this worker are run here; of a container that runs all, every one's. */
  runsHere?(worker: string): boolean;
  /** The container is to come to its end, in order: its source has no more use for it. */
  requestStop?(): void;
  /** Of a container. */
  readonly dataFolder?: string;
  /** The queue in the data folder, which is opened (and made) when it is asked for; who opens it closes it. */
  embedded(): Promise<SqliteSource>;
}

/** A source's service does not answer, or refuses what it is sent. */
export interface SourceTrouble extends ErrorReport {
  readonly sinceMs: number;
}

/** Something about a source's service that loses jobs, has lost them, or may. */
export interface SourceProblem {
  readonly code: ErrorCode;
  readonly sinceMs: number;
  /** For everybody: no addresses. */
  readonly summary: string;
  readonly message: string;
}

/** A source that is connected, with what it can do beyond the port. */
/** Why a container cannot do its work. */
export interface Unfitness {
  /** Name of what was looked at. */
  readonly check: string;
  readonly reason: string;
}

export interface ConnectedSource {
  readonly source: JobSource;
  /** The producer's and operator's side; null where there is none, as at RunPod, whose queue has no listing. */
  readonly queue: JobQueue | null;
  /** Where sessions of chat are kept beside its jobs; null where it keeps nothing else. */
  readonly sessions: SessionStore | null;
  /** Of one that is paid by the call. */
  readonly paid?: { usage(): SourceUsage };
  /** Of one whose platform replaces a container that cannot do its work: reports that this one cannot. Never rejects. */
  reportUnfit?(problem: Unfitness): Promise<void>;
  /** Of one that is reached over a network. */
  trouble?(): SourceTrouble | null;
  /** Of one whose service can be set up so that it loses jobs, or lose its data; none when nothing is known of it. */
  problems?(): readonly SourceProblem[];
  /** Of one whose queue may hold what is no job. */
  readonly undecodable?: {
    /** How many elements this container took off the queue. */
    readonly count: number;
    /** How many others it dropped: their jobs are known, with the same body. */
    readonly repeated: number;
    /** The newest first. */
    list(limit: number): Promise<readonly DeadElement[]>;
    /** Forgets those of one worker, or the one with this id; answers how many. Stops between two parts when the signal aborts. */
    discard(worker: string, id: string | undefined, signal: AbortSignal): Promise<number>;
  };
}

export interface SourceUsage {
  /** Commands that were billed since the source was made, by what they were for. */
  readonly commands: number;
  readonly commandsByOperation: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly commandsPerHour: number;
  /** What a month costs at this rate. Not known in the first minute, when a start weighs too much. */
  readonly estimatedDollarsPerMonth: number | null;
}

/** An element of a queue in which there is no job. */
export interface DeadElement {
  /** Names it, as long as it is there. */
  readonly id: string;
  readonly worker: string;
  /** Why there is none. */
  readonly reason: string;
  readonly atMs: number;
  readonly raw: string;
}

/** A definition whose own types nobody else has to know. */
export interface SourceDefinition
  extends Pick<SourceParts<z.ZodRawShape, never>, "name" | "needs" | "usedWhenConfigured" | "description"> {
  readonly variables: readonly string[];
  read(given: Environment): ReadSource;
}

export interface ReadSource {
  /** All that is wrong with its variables. */
  readonly problems: readonly string[];
  /** Null when it is not configured, or wrongly. */
  configure(shared: SharedSettings): ConfiguredSource | null;
}

/** A source with its settings. */
export interface ConfiguredSource extends Pick<SourceDefinition, "name"> {
  /** Whether it lies in the data folder, so that it is always there. */
  readonly isEmbedded: boolean;
  connect(context: ConnectContext): Promise<ConnectedSource>;
  readonly probe: { readonly name: string; run(context: ConnectContext): Promise<ProbeFinding> };
}

export function defineSource<const Shape extends z.ZodRawShape, Settings>(
  parts: SourceParts<Shape, Settings>,
): SourceDefinition {
  const { name, needs, usedWhenConfigured, description, environment } = parts;
  const schema = z.object(environment);
  const secrets = new Set<string>(parts.secrets);
  return {
    name,
    needs,
    usedWhenConfigured,
    description,
    variables: Object.keys(environment),
    read(given) {
      const read = readVariables(schema, given, secrets);
      if (!read.ok) return { problems: read.problems, configure: () => null };
      return {
        problems: parts.problems?.(read.values) ?? [],
        configure(shared) {
          const settings = parts.settings(read.values, shared);
          return settings === null ? null : configured(parts, settings);
        },
      };
    },
  };
}

function configured<Shape extends z.ZodRawShape, Settings>(
  { name, needs, connect, probe }: SourceParts<Shape, Settings>,
  settings: Settings,
): ConfiguredSource {
  return {
    name,
    isEmbedded: needs.length === 0,
    connect: (context) => connect(settings, context),
    probe: { name: probe.name, run: (context) => probe.run(settings, context) },
  };
}

/** Of two variables that belong together, what is missing beside the other. */
export function missingBeside<Name extends string>(
  values: { readonly [Variable in Name]?: unknown },
  first: Name,
  second: Name,
): string[] {
  if (values[first] !== undefined && values[second] === undefined) return [`${second}: must be set beside ${first}`];
  if (values[first] === undefined && values[second] !== undefined) return [`${first}: must be set beside ${second}`];
  return [];
}
