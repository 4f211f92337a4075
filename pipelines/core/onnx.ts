import "./no-telemetry.ts";

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { deviceProblem } from "./device-errors.ts";
import {
  deviceFault,
  deviceLost,
  modelInvalid,
  modelNotFound,
  modelTooLarge,
  outOfMemory,
  unsupportedOption,
} from "./errors.ts";
import { elementCount, type IntTensor, releaseBuffer, shapeText, type Tensor } from "./tensor.ts";

/** How sessions are made. Nothing here changes results beyond rounding. */
export interface SessionSettings {
  /** `auto` (the default): CUDA where its library is installed and a device answers, else the CPU. */
  readonly executionProvider?: "auto" | "cpu" | "cuda" | undefined;
  /** Threads of one operator on the CPU; by default ONNX Runtime takes the physical cores. */
  readonly intraOpThreads?: number | undefined;
  readonly graphOptimization?: "disabled" | "basic" | "extended" | "all" | undefined;
  /** Keeps freed CPU memory for the next run (the default): faster, but memory stays at its highest mark. */
  readonly cpuMemoryArena?: boolean | undefined;
}

/** An ONNX graph that is loaded instead of the file that it was made from. */
export interface GraphInMemory {
  readonly bytes: Uint8Array;
  /** What the paths of its external data are relative to. */
  readonly dataFolder?: string | undefined;
}

const inputTypes = ["float32", "float16", "int64", "int32"] as const;

export type InputType = (typeof inputTypes)[number];

/** An input as the session's metadata states it; free dimensions have names. */
export interface InputSpec {
  readonly type: InputType;
  readonly shape: readonly (number | string)[];
}

/** A value in the form of one component's input, made once for many runs. */
export class PreparedInput {
  readonly value: OrtTensor;

  constructor(value: OrtTensor) {
    this.value = value;
  }

  get dims(): readonly number[] {
    return this.value.dims;
  }

  /**
   * Its memory, as the model reads it at the next run: float16 as bits.
   * @throws RangeError when it has no floating-point numbers
   */
  get numbers(): Float32Array | Uint16Array {
    const { data } = this.value;
    if (data instanceof Float32Array || data instanceof Uint16Array) return data;
    throw new RangeError(`a value of the type ${this.value.type} has no floating-point numbers`);
  }

  /** Gives its memory back at once, see {@link release}; it can be used no more. */
  release(): void {
    const { data } = this.value;
    if (ArrayBuffer.isView(data)) releaseBuffer(data.buffer);
  }
}

export type Feed = Tensor | IntTensor | PreparedInput;

/** One ONNX model of a pipeline: `unet/model.onnx`. */
export class Component {
  /** The ONNX file. */
  readonly path: string;
  readonly executionProvider: "cpu" | "cuda";
  /** Why the model runs on the CPU although CUDA's library is installed. */
  readonly cudaProblem: string | undefined;
  readonly inputs: ReadonlyMap<string, InputSpec>;
  readonly outputs: readonly string[];
  readonly #session: InferenceSession;
  #millisecondsInRun = 0;

  private constructor(
    path: string,
    executionProvider: "cpu" | "cuda",
    session: InferenceSession,
    cudaProblem: string | undefined,
  ) {
    this.path = path;
    this.executionProvider = executionProvider;
    this.cudaProblem = cudaProblem;
    this.inputs = readInputs(path, session);
    this.outputs = session.outputNames;
    this.#session = session;
  }

  /**
   * Loads an ONNX file with its external data.
   * @param path of the file: `…/unet/model.onnx`
   * @param graph what is loaded instead of the file's content; `path` then stands in messages only
   * @throws PipelineError MODEL_NOT_FOUND when the file is not there, MODEL_INVALID when it cannot be loaded,
   *   MODEL_TOO_LARGE when the device has no room for it, DEVICE_LOST or DEVICE_FAULT when the device does not work,
   *   UNSUPPORTED_OPTION when CUDA is requested and not installed
   */
  static async load(path: string, settings: SessionSettings = {}, graph?: GraphInMemory): Promise<Component> {
    if (graph === undefined && !existsSync(path)) throw modelNotFound("an ONNX file of the model", path);
    const { executionProvider = "auto" } = settings;
    const hasCuda = executionProvider !== "cpu" && hasCudaLibrary();
    if (executionProvider === "cuda" && !hasCuda) {
      throw unsupportedOption("CUDA was requested, but ONNX Runtime's CUDA library is not installed");
    }
    let cudaProblem: string | undefined;
    if (hasCuda) {
      try {
        return new Component(path, "cuda", await createSession(graph ?? path, ["cuda", "cpu"], settings), undefined);
      } catch (error) {
        // A device that is lost is not replaced by the CPU, on which a job takes a hundred times as long.
        const mustHaveDevice = executionProvider === "cuda" || isOutOfMemory(error) || deviceProblem(messageOf(error));
        if (mustHaveDevice) throw loadError(path, error);
        cudaProblem = messageOf(error);
      }
    }
    try {
      return new Component(path, "cpu", await createSession(graph ?? path, ["cpu"], settings), cudaProblem);
    } catch (error) {
      throw loadError(path, error);
    }
  }

  /** Time spent in `session.run` so far: what a benchmark subtracts to find the cost of everything else. */
  get millisecondsInRun(): number {
    return this.#millisecondsInRun;
  }

  /**
   * Brings a value into the form of an input: its data type and memory. Float32 data is not copied.
   * @throws PipelineError MODEL_INVALID when the model has no such input; UNSUPPORTED_OPTION when the shape does not fit:
   *   a model that was exported for one size is in order, and takes other jobs
   */
  prepare(name: string, value: Tensor | IntTensor): PreparedInput {
    const spec = this.inputs.get(name);
    if (spec === undefined) {
      throw modelInvalid(this.path, `there is no input "${name}", only ${[...this.inputs.keys()].join(", ")}`);
    }
    const fits =
      spec.shape.length === value.dims.length &&
      spec.shape.every((size, axis) => typeof size === "string" || size === value.dims[axis]);
    if (!fits) {
      throw unsupportedOption(
        `${this.path}: input "${name}" has shape ${shapeText(spec.shape)} and cannot take ${shapeText(value.dims)}; use the size and the number of images that the model was exported for`,
      );
    }
    return new PreparedInput(toOrtTensor(spec.type, value));
  }

  /**
   * Runs the model. Computes on the calling thread: the event loop stands still meanwhile.
   * @param feeds a value for every input
   * @param fetches the outputs to return; others are not copied out
   * @returns the outputs as float32
   * @throws PipelineError MODEL_INVALID when inputs or outputs are not those of the model, UNSUPPORTED_OPTION when a shape
   *   does not fit, OUT_OF_MEMORY, DEVICE_LOST or DEVICE_FAULT
   */
  async run<Name extends string>(
    feeds: Readonly<Record<string, Feed>>,
    fetches: readonly Name[],
  ): Promise<Record<Name, Tensor>> {
    return (await this.runKeeping(feeds, fetches, {})).outputs;
  }

  /**
   * As {@link run}, for a model that goes on from what it made itself: outputs that are the inputs of its next run are handed
   * on in the type in which ONNX Runtime made them, and in the memory into which its binding copied them. On CUDA too that is
   * the CPU's memory: the binding of onnxruntime-node 1.30 keeps outputs on a device for WebGPU alone.
   * @param kept output by the input that it becomes: `{ "past_key_values.0.key": "present.0.key" }`
   */
  async runKeeping<Name extends string>(
    feeds: Readonly<Record<string, Feed>>,
    fetches: readonly Name[],
    kept: Readonly<Record<string, string>>,
  ): Promise<{ readonly outputs: Record<Name, Tensor>; readonly next: Record<string, PreparedInput> }> {
    const results = await this.#outputs(feeds, [...fetches, ...Object.values(kept)]);
    const entries = fetches.map((name) => [name, toFloat32(results[name], name, this.path)] as const);
    const next = Object.entries(kept).map(([input, output]) => [input, toInput(results[output])] as const);
    return { outputs: Object.fromEntries(entries) as Record<Name, Tensor>, next: Object.fromEntries(next) };
  }

  /**
   * Runs the model for another one: outputs in the form of its inputs, which are not converted where both have one data type.
   * @param fetches the outputs, each with the input that it becomes
   * @throws what {@link run} and the other's {@link prepare} throw
   */
  async runInto(
    next: Component,
    feeds: Readonly<Record<string, Feed>>,
    fetches: ReadonlyMap<string, string>,
  ): Promise<Record<string, PreparedInput>> {
    const results = await this.#outputs(feeds, [...fetches.keys()]);
    const entries = [...fetches].map(([output, input]) => {
      const value = results[output];
      const isSameType = value !== undefined && value.type === next.inputs.get(input)?.type;
      const prepared = isSameType ? toInput(value) : next.prepare(input, toFloat32(value, output, this.path));
      return [input, prepared] as const;
    });
    return Object.fromEntries(entries);
  }

  async #outputs(
    feeds: Readonly<Record<string, Feed>>,
    fetches: readonly string[],
  ): Promise<InferenceSession.ReturnType> {
    const missing = [...this.inputs.keys()].filter((name) => feeds[name] === undefined);
    if (missing.length > 0) throw modelInvalid(this.path, `the model also needs the input ${missing.join(", ")}`);
    const absent = fetches.filter((name) => !this.outputs.includes(name));
    if (absent.length > 0) {
      throw modelInvalid(this.path, `there is no output ${absent.join(", ")}, only ${this.outputs.join(", ")}`);
    }
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, value]) => [
        name,
        (value instanceof PreparedInput ? value : this.prepare(name, value)).value,
      ]),
    );
    return this.#timedRun(inputs, fetches);
  }

  async #timedRun(inputs: Record<string, OrtTensor>, fetches: readonly string[]): Promise<InferenceSession.ReturnType> {
    const start = performance.now();
    try {
      return await this.#session.run(inputs, fetches);
    } catch (error) {
      if (isOutOfMemory(error)) throw outOfMemory(this.path, error);
      throw deviceError(this.path, error) ?? new Error(`${this.path}: ${messageOf(error)}`, { cause: error });
    } finally {
      this.#millisecondsInRun += performance.now() - start;
    }
  }

  /** Gives the session's memory back; the component cannot run any more. */
  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

function createSession(source: string | GraphInMemory, executionProviders: string[], settings: SessionSettings) {
  const options = {
    executionProviders,
    graphOptimizationLevel: settings.graphOptimization ?? "all",
    enableCpuMemArena: settings.cpuMemoryArena ?? true,
    ...(settings.intraOpThreads === undefined ? {} : { intraOpNumThreads: settings.intraOpThreads }),
    // Errors only: exported graphs make ONNX Runtime warn about things that nobody can act on.
    logSeverityLevel: 3,
  } as const;
  const onCpu = executionProviders.every((provider) => provider === "cpu");
  if (typeof source === "string") return InferenceSession.create(source, { ...options, ...(onCpu ? leanOnCpu() : {}) });
  const { bytes, dataFolder } = source;
  // Documented as "session.model_external_initializers_file_folder_path" in onnxruntime_session_options_config_keys.h.
  const folder = dataFolder && { model_external_initializers_file_folder_path: dataFolder };
  return InferenceSession.create(bytes, {
    ...options,
    ...(onCpu ? leanOnCpu(folder || {}) : folder ? { extra: { session: folder } } : {}),
  });
}

/**
 * What keeps memory low on a CPU and costs no time that could be measured (`bench/pipeline.ts`): a memory pattern takes one
 * more block for every size of picture, beside what the arena has already; and in the arena weights take blocks of twice
 * their size.
 *
 * The threads of a session sleep while they have nothing to do. By default they spin, which takes the cores from the dispatcher,
 * the encoder and the other sessions: with two threads the model that ships with the project drew 128×128 in 0.42 processor
 * seconds, and 0.15 without, and 512×512 in 1.9 and 1.2.
 */
function leanOnCpu(session: Readonly<Record<string, string>> = {}) {
  return {
    enableMemPattern: false,
    extra: { session: { use_device_allocator_for_initializers: "1", intra_op: { allow_spinning: "0" }, ...session } },
  } as const;
}

/**
 * Whether models may run on a GPU here. The CUDA library is not in the package; its install script (or a Docker image) puts
 * it beside the binding.
 */
export function hasCudaLibrary(): boolean {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  const library = process.platform === "win32" ? "onnxruntime_providers_cuda.dll" : "libonnxruntime_providers_cuda.so";
  return existsSync(join(dirname(entry), "..", "bin", "napi-v6", process.platform, process.arch, library));
}

function readInputs(path: string, session: InferenceSession): Map<string, InputSpec> {
  const inputs = new Map<string, InputSpec>();
  for (const metadata of session.inputMetadata) {
    const type = metadata.isTensor ? inputTypes.find((known) => known === metadata.type) : undefined;
    if (!metadata.isTensor || type === undefined) {
      const actual = metadata.isTensor ? metadata.type : "no tensor";
      throw modelInvalid(path, `input "${metadata.name}" is ${actual}; it must be one of ${inputTypes.join(", ")}`);
    }
    inputs.set(metadata.name, { type, shape: metadata.shape });
  }
  return inputs;
}

function toOrtTensor(type: InputType, { data, dims }: Tensor | IntTensor): OrtTensor {
  switch (type) {
    case "float32":
      return new OrtTensor("float32", data instanceof Float32Array ? data : Float32Array.from(data), [...dims]);
    case "float16":
      return float16Tensor(new Float16Array(data), dims);
    case "int64":
      return new OrtTensor("int64", toInt64(data), [...dims]);
    case "int32":
      return new OrtTensor("int32", data instanceof Int32Array ? data : Int32Array.from(data), [...dims]);
  }
}

/** In halves of 32 bits, the lower first as on all machines here: ten times as fast as by way of `BigInt`. */
function toInt64(values: Float32Array | Int32Array): BigInt64Array {
  const wide = new BigInt64Array(values.length);
  const halves = new Int32Array(wide.buffer);
  for (let index = 0; index < values.length; index++) {
    const value = Math.trunc(values[index] ?? 0);
    halves[2 * index] = value;
    halves[2 * index + 1] = Math.floor(value / 2 ** 32);
  }
  return wide;
}

/**
 * onnxruntime-node 1.30 takes float16 data as Uint16Array only, while its Tensor turns every Uint16Array into a
 * Float16Array where JavaScript has one. So the binding is shown the same memory under the older type.
 */
function float16Tensor(values: Float16Array, dims: readonly number[]): OrtTensor {
  const bits = new Uint16Array(values.buffer, values.byteOffset, values.length);
  return Object.defineProperty(new OrtTensor("float16", bits, [...dims]), "data", { value: bits });
}

/** What a run made, as the input of another. */
function toInput(value: InferenceSession.ReturnType[string] | undefined): PreparedInput {
  if (value?.data instanceof Float16Array) return new PreparedInput(float16Tensor(value.data, value.dims));
  if (value instanceof OrtTensor) return new PreparedInput(value);
  throw new RangeError("an output that was fetched is no tensor");
}

function toFloat32(value: InferenceSession.ReturnType[string] | undefined, name: string, path: string): Tensor {
  const data = value?.data;
  const isFloat = data instanceof Float32Array || data instanceof Float16Array;
  if (value === undefined || !isFloat || data.length !== elementCount(value.dims)) {
    throw modelInvalid(path, `output "${name}" is ${value?.type}; it must be float32 or float16`);
  }
  return { data: data instanceof Float32Array ? data : new Float32Array(data), dims: value.dims };
}

function loadError(path: string, error: unknown): Error {
  if (isOutOfMemory(error)) return modelTooLarge(path, error);
  const onDevice = deviceError(path, error);
  if (onDevice !== null) return onDevice;
  return modelInvalid(path, `ONNX Runtime cannot load the file (${messageOf(error)}). Copy or export it again.`, error);
}

function deviceError(path: string, error: unknown): Error | null {
  const cause = error instanceof Error ? error : new Error(String(error));
  const problem = deviceProblem(cause.message);
  if (problem === null) return null;
  return problem === "lost" ? deviceLost(path, cause) : deviceFault(path, cause);
}

function isOutOfMemory(error: unknown): boolean {
  return /out of memory|failed to allocate|bad_alloc|bad allocation|ALLOC_FAILED/i.test(messageOf(error));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
