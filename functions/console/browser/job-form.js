// @ts-check
import { element, showText } from "./dom.js";
import { FileField } from "./file-field.js";
import { ListRows } from "./list-rows.js";
import { shown, title } from "./words.js";

/* The form of one job type: made from its fields, read into a job, filled from a job, with what is wrong with it. */

/** @typedef {import("./schema-fields.js").Field} Field */
/** @typedef {import("./schema-fields.js").Group} Group */
/** @typedef {import("./schema-fields.js").Schema} Schema */
/** @typedef {(job: Record<string, unknown>) => Record<string, unknown>} DefaultsFor parameters of a job that gives this much */
/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */
/** @typedef {import("./file-field.js").Files} Files */
/** @typedef {{ field: Field, box: HTMLElement, control: Control, problem: HTMLElement, hint: HTMLElement, file: FileField | null, list: ListRows | null }} Row */

export class JobForm {
  #place;
  #files;
  /** @type {Row[]} */
  #rows = [];

  /** @type {DefaultsFor} */
  #defaultsFor = () => ({});

  /**
   * @param {HTMLElement} place where the fields go
   * @param {Files} files uploads them, and finds those that are there
   */
  constructor(place, files) {
    this.#place = place;
    this.#files = files;
    // Another model or scheduler has other defaults.
    place.addEventListener("change", () => this.#showDefaults());
  }

  /**
   * @param {Group[]} fields
   * @param {DefaultsFor} defaultsFor shown where nothing is given
   */
  show(fields, defaultsFor) {
    this.#rows = [];
    this.#defaultsFor = defaultsFor;
    const groups = fields.map(({ title: name, open, fields }) => {
      const rows = fields.map((field) => makeRow(field, { ...this.#files, owner: () => ownerOf(this.read().job) }));
      this.#rows.push(...rows);
      const grid = element("div", "grid");
      grid.append(...rows.map(({ box }) => box));
      if (open) return grid;
      const more = element("details", "more-fields");
      more.append(element("summary", "", name), grid);
      return more;
    });
    this.#place.replaceChildren(...groups);
    this.#showDefaults();
  }

  #showDefaults() {
    const defaults = this.#defaultsFor(this.read().job);
    for (const { field, control } of this.#rows) {
      const own = field.path[0] === "config" ? defaults[field.path.at(-1) ?? ""] : undefined;
      showFallback(field, control, own ?? field.schema.default);
    }
  }

  focus() {
    this.#rows[0]?.control.focus();
  }

  /** What could be written into a long text. @param {string} name @param {string} text */
  example(name, text) {
    const control = this.#rows.find(({ field }) => field.path.join(".") === name)?.control;
    if (control instanceof HTMLTextAreaElement) control.placeholder = text;
  }

  /**
   * Writes something under a field that is no fault.
   * @param {string} name
   * @param {string} text "" takes it away
   */
  hint(name, text) {
    for (const { field, hint } of this.#rows) if (field.path.join(".") === name) showText(hint, text);
  }

  /** Puts something below a field. @param {string} name @param {HTMLElement} made @returns {boolean} whether there is such a field */
  attach(name, made) {
    const row = this.#rows.find(({ field }) => field.path.join(".") === name);
    row?.box.append(made);
    return row !== undefined;
  }

  /** Gives a field a value, as when it had been typed. @param {string} name @param {unknown} value */
  enter(name, value) {
    const row = this.#rows.find(({ field }) => field.path.join(".") === name);
    if (row === undefined) return;
    setValue(row.field, row.control, value);
    for (const event of ["input", "change"]) row.control.dispatchEvent(new Event(event, { bubbles: true }));
  }

  /** @returns {{ job: Record<string, unknown>, problems: Problem[] }} what was given, without what was left empty */
  read() {
    /** @type {Record<string, unknown>} */
    const job = {};
    /** @type {Problem[]} */
    const problems = [];
    for (const { field, control } of this.#rows) {
      const read = readControl(field, control);
      if ("problem" in read) problems.push({ field: field.path.join("."), message: read.problem });
      else if (read.value !== undefined) put(job, field, read.value);
    }
    return { job, problems };
  }

  /** @param {Record<string, unknown>} job */
  fill(job) {
    const rest = withPair(structuredClone(job));
    const isWhole = (/** @type {Row} */ { field }) => field.kind === "json" && field.path.length === 1;
    for (const { field, control } of this.#rows.filter((row) => !isWhole(row))) {
      const names = [field.path, ...(field.schema["x-synonyms"] ?? []).map((name) => ["config", name])];
      const values = names.map((path) => takeOut(rest, path));
      setValue(
        field,
        control,
        values.find((value) => value !== undefined && value !== null),
      );
    }
    for (const { field, control } of this.#rows.filter(isWhole)) {
      const left = takeOut(rest, field.path);
      const isNothing = left === undefined || (isObject(left) && Object.keys(left).length === 0);
      setValue(field, control, isNothing ? undefined : left);
    }
    this.report([]);
    this.#showDefaults();
    for (const { file, list } of this.#rows) {
      file?.show();
      list?.show();
    }
    for (const { control } of this.#rows) {
      const more = control.closest("details");
      if (more !== null && control.value !== "") more.open = true;
    }
  }

  /**
   * Writes each problem under its field and goes to the first.
   * @param {Problem[]} problems
   * @returns {Problem[]} those that belong to no field of the form
   */
  report(problems) {
    const left = new Set(problems);
    /** @type {Row | null} */
    let first = null;
    for (const row of this.#rows) {
      const { field, box, control, problem } = row;
      const name = field.path.join(".");
      const own = problems.filter((one) => one.field === name);
      for (const one of own) left.delete(one);
      showText(problem, own.map(({ message }) => message).join("; "));
      box.classList.toggle("wrong", own.length > 0);
      control.setAttribute("aria-invalid", String(own.length > 0));
      if (own.length > 0) first ??= row;
    }
    const more = first?.box.closest("details") ?? null;
    if (more !== null) more.open = true;
    (first?.list ?? first?.control)?.focus();
    return [...left];
  }
}

let rowCount = 0;

/** @param {Record<string, unknown>} job */
function ownerOf({ user_id: userId }) {
  return typeof userId === "string" ? userId : undefined;
}

/** @param {Field} field @param {import("./file-field.js").OwnedFiles} files @returns {Row} */
function makeRow(field, files) {
  const id = `field-${++rowCount}`;
  const box = element("div", `field ${isWide(field) ? "wide" : ""}`);
  const label = element("label", "label", labelOf(field));
  label.htmlFor = id;
  label.title = field.schema.description ?? field.path.join(".");
  if (field.required) label.append(element("span", "required", " required"));
  const control = makeControl(field);
  control.id = id;
  control.name = field.path.join(".");
  control.required = field.required;
  const problem = element("p", "problem");
  problem.id = `${id}-problem`;
  problem.hidden = true;
  const hint = element("p", "hint");
  hint.id = `${id}-hint`;
  hint.hidden = true;
  control.setAttribute("aria-describedby", `${problem.id} ${hint.id}`);
  const file = isFile(field.kind) ? new FileField(field, control, problem, files) : null;
  const list = isList(field.kind) ? new ListRows(control, field.kind) : null;
  if (list !== null) list.element.ariaLabel = labelOf(field);
  box.append(label, ...(list === null ? [] : [list.element]), file?.element ?? control, hint, problem);
  return { field, box, control, problem, hint, file, list };
}

/** @typedef {import("./list-rows.js").What} ListKind */

/** @param {Field["kind"]} kind */
function isFile(kind) {
  return kind === "file" || kind === "files" || kind === "pictures";
}

/** Held as JSON, shown as rows. @param {Field["kind"]} kind @returns {kind is ListKind} */
function isList(kind) {
  return kind === "files" || kind === "pictures" || kind === "texts";
}

/** @param {Field} field */
function isWide({ kind }) {
  return kind === "long text" || kind === "json" || isFile(kind) || isList(kind);
}

/** @param {Field} field */
function labelOf({ path, kind }) {
  const name = path.at(-1) ?? "";
  if (kind === "json" && path.length === 1) return `Further ${name}, as JSON`;
  return title(name.replace(/^num_/, "").replace(kind === "file" ? /_url$/ : /^$/, ""));
}

/** @param {Field} field @returns {Control} */
function makeControl(field) {
  switch (field.kind) {
    case "choice":
      return makeSelect(field.values);
    case "flag":
      return makeSelect([true, false]);
    case "long text":
    case "json":
    case "files":
    case "pictures":
    case "texts":
      return makeArea(field);
    default:
      return makeInput(field);
  }
}

/** @param {unknown[]} values */
function makeSelect(values) {
  const select = element("select");
  select.append(new Option("–", ""), ...values.map((value) => new Option(shownFlag(value), JSON.stringify(value))));
  return select;
}

/**
 * @param {Field} field
 * @param {Control} control
 * @param {unknown} fallback what applies when nothing is given
 */
function showFallback({ schema, path }, control, fallback) {
  if (control instanceof HTMLInputElement) control.placeholder = placeholderOf(schema, path.at(-1) ?? "", fallback);
  const none = control instanceof HTMLSelectElement ? control.options[0] : undefined;
  if (none !== undefined) none.text = fallback === undefined ? "–" : `${shownFlag(fallback)} (default)`;
}

/** @param {Field} field */
function makeArea({ kind, schema }) {
  const area = element("textarea");
  area.spellcheck = kind === "long text";
  area.classList.toggle("code", kind === "json");
  if (kind === "json") area.placeholder = schema.type === "array" ? "[ ]" : "{ }";
  return area;
}

/** @param {Field} field */
function makeInput({ kind, schema }) {
  const input = element("input");
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  // Kept as text: a browser's number field shows arrows, changes when it is scrolled over, and hides bad input.
  if (kind === "number") input.inputMode = schema.type === "integer" || schema.multipleOf === 1 ? "numeric" : "decimal";
  return input;
}

/** @param {unknown} value */
function shownFlag(value) {
  if (value === true) return "yes";
  return value === false ? "no" : shown(value);
}

/**
 * @param {Schema} schema
 * @param {string} name
 * @param {unknown} fallback
 */
function placeholderOf({ minimum, maximum }, name, fallback) {
  if (name === "seed") return "random";
  if (fallback !== undefined && typeof fallback !== "object") return String(fallback);
  if (minimum === undefined || maximum === undefined) return "";
  return `${minimum.toLocaleString("en-US")} to ${maximum.toLocaleString("en-US")}`;
}

/**
 * @param {Field} field
 * @param {Control} control
 * @returns {{ value: unknown } | { problem: string }}
 */
function readControl({ kind, path }, control) {
  const text = control.value;
  if (text.trim() === "") return { value: undefined };
  if (kind === "choice" || kind === "flag") return { value: JSON.parse(text) };
  if (kind === "number") {
    // Number("0x10") is 16, which nobody means here.
    const isDecimal = /^\s*-?\d+(?:\.\d+)?(?:e\d+)?\s*$/i.test(text);
    return isDecimal ? { value: Number(text) } : { problem: "must be a number" };
  }
  if (kind !== "json" && !isList(kind)) return { value: text };
  try {
    const value = JSON.parse(text);
    return path.length > 1 || isObject(value) ? { value } : { problem: "must be a JSON object" };
  } catch {
    return { problem: "must be JSON" };
  }
}

/**
 * @param {Field} field
 * @param {Control} control
 * @param {unknown} value
 */
function setValue({ kind }, control, value) {
  if (value === undefined || value === null) control.value = "";
  else control.value = ["text", "long text", "number", "file"].includes(kind) ? shown(value) : JSON.stringify(value);
}

/**
 * @param {Record<string, unknown>} job
 * @param {Field} field
 * @param {unknown} value
 */
function put(job, { path }, value) {
  let target = job;
  for (const name of path.slice(0, -1)) {
    const inner = target[name];
    const next = isObject(inner) ? inner : {};
    target[name] = next;
    target = next;
  }
  const name = path.at(-1) ?? "";
  const present = target[name];
  // A field of its own is stronger than the same key in the JSON of the whole.
  target[name] = isObject(present) && isObject(value) ? { ...value, ...present } : value;
}

/**
 * A size under its one name ("832*480") as the two that forms have.
 * @param {Record<string, unknown>} job
 */
function withPair(job) {
  const { config } = job;
  if (!isObject(config) || config.width !== undefined || config.height !== undefined) return job;
  const [, width, height] = /^\s*(\d+)\s*[*xX×]\s*(\d+)\s*$/.exec(String(config.size ?? config.resolution)) ?? [];
  if (width === undefined) return job;
  const { size, resolution, ...rest } = config;
  return { ...job, config: { ...rest, width: Number(width), height: Number(height) } };
}

/**
 * @param {Record<string, unknown>} job
 * @param {readonly string[]} path
 */
function takeOut(job, path) {
  /** @type {unknown} */
  let target = job;
  for (const name of path.slice(0, -1)) target = isObject(target) ? target[name] : undefined;
  const name = path.at(-1) ?? "";
  if (!isObject(target)) return undefined;
  const value = target[name];
  delete target[name];
  return value;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
